"""What a user sees where a disk is full, a place cannot be written, a file is broken, or a signal
comes: the real commands."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from mcltoolkit.engine.files import check_whole

pytestmark = pytest.mark.integration


def own_mount(options, command):
    """The command as a shell line with a small file system of its own at $WORK, or None where this
    system allows none."""
    mount = f'mount -t tmpfs -o {options} tmpfs "$WORK"'
    for prefix in (["unshare", "-m"], ["unshare", "-rm"]):
        if shutil.which("unshare") is None:
            return None
        probe = [*prefix, "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            return [*prefix, "sh", "-c", f"{mount} && {command}; status=$?; {LIST}; exit $status"]
    return None


LIST = 'ls -a "$WORK"'


def sizes(tiny_config):
    return f'"{sys.executable}" tools/train.py {tiny_config} --work-dir "$WORK"'


def test_a_full_disk_leaves_the_last_checkpoint(tool, train, tiny_config, tmp_path):
    """A checkpoint of this config has 2 to 3 MB: the first fits, the second does not."""
    options = "--cfg-options default_hooks.checkpoint.interval=2 visualizer.vis_backends=[]"
    train(tmp_path / "measure", "--cfg-options", "train_cfg.max_iters=2", "val_cfg=None",
          "val_dataloader=None", "val_evaluator=None")  # fmt: skip
    size = (tmp_path / "measure" / "iter_2.pth").stat().st_size
    command = f"{sizes(tiny_config)} {options}"
    mounted = own_mount(f"size={int(1.6 * size)}", command)
    (tmp_path / "work").mkdir()
    if mounted is None:  # a limit on the size of a file stops torch's writer in the same way
        mounted = ["sh", "-c", f"ulimit -f {size // 1024 - 100}; {command}; exit $?"]
    done = tool(*mounted, ok=False, WORK=str(tmp_path / "work"))
    assert done.returncode == 2, done.stderr[-3000:]
    assert "could not be saved" in done.stderr
    assert "No space left on device" in done.stderr or "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".tmp" not in done.stdout
    if "No space left" in done.stderr:
        assert "the checkpoint iter_4.pth could not be saved" in done.stderr
        assert "\niter_2.pth\n" in done.stdout


def test_a_place_that_cannot_be_written(tool, tiny_config, tmp_path):
    mounted = own_mount("ro", sizes(tiny_config))
    if mounted is None:
        (tmp_path / "file").write_text("")
        mounted = ["sh", "-c", f"{sizes(tiny_config)}; exit $?"]
        place = tmp_path / "file" / "work"
    else:
        place = tmp_path
    done = tool(*mounted, ok=False, WORK=str(place))
    assert done.returncode == 2
    assert f"ConfigError: work directory {place} cannot be written" in done.stderr
    assert "give another one with --work-dir" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_stops_and_the_run_goes_on(tiny_config, tmp_path, number):
    """Through the launcher with two ranks for one signal, a single process for the other."""
    ranks = number == signal.SIGUSR1
    tool = ["tools/dist_train.sh", str(tiny_config), "2"] if ranks else [
        sys.executable, "tools/train.py", str(tiny_config)]  # fmt: skip
    command = [
        *tool, "--work-dir", str(tmp_path), "--cfg-options", "train_cfg.max_iters=100000",
        "train_cfg.val_interval=100000", "default_hooks.checkpoint.interval=100000",
        "train_dataloader.num_workers=1",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        command,
        start_new_session=True,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    text = ""
    for line in process.stdout:
        text += line
        if "Iter(train)" in line:
            break
    if ranks:
        process.send_signal(number)
    else:  # as Slurm does: data workers get it, too
        os.killpg(process.pid, number)
    text += process.communicate()[0]
    assert process.returncode == 128 + number, text[-3000:]
    assert f"training stopped by {number.name} after " in text
    assert text.count("is saved: go on with --resume") == 1
    assert "Traceback" not in text
    (file,) = tmp_path.glob("iter_*.pth")
    assert check_whole(file)
    step = torch.load(file, weights_only=True)["meta"]["iter"]
    assert file.name == f"iter_{step}.pth"
    assert f"after {step} of 100000 steps" in text
    assert not list(tmp_path.glob(".iter*"))
