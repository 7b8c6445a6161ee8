"""tools/ablate.py with real trainings: interrupted in the middle, then to its end."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

pytestmark = pytest.mark.integration


def wait_for(pattern, folder, process):
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)


def test_interrupted_and_called_again(tool, tiny_config, tmp_path, root):
    matrix = tmp_path / "matrix.yaml"
    content = {
        "base": str(tiny_config),
        "options": {
            "train_cfg.max_iters": 2,
            "train_cfg.val_interval": 0,
            "val_dataloader.dataset.length": 1,
            "test_dataloader.dataset.length": 2,
        },
        "changes": {"full": {}, "longer": {"train_cfg.max_iters": 4000}},
        "metrics": [{"name": "test/label_accuracy", "better": "higher"}],
    }
    matrix.write_text(yaml.safe_dump(content, sort_keys=False))
    command = [sys.executable, "tools/ablate.py", str(matrix), "--work-dir", str(tmp_path / "w")]
    process = subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    runs = tmp_path / "w" / "runs"
    wait_for("longer.*/train/iter_4.pth", runs, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "done    full, seed 0" in said
    (folder,) = runs.glob("longer.*")
    (finished,) = runs.glob("full.*")
    stamp = (finished / "result.json").stat().st_mtime_ns
    newest = max(int(file.stem[5:]) for file in (folder / "train").glob("iter_*.pth"))

    assert f"goes on from iter_{newest}" in tool(*command, "--dry-run").stdout
    content["changes"]["longer"]["train_cfg.max_iters"] = 3
    matrix.write_text(yaml.safe_dump(content, sort_keys=False))
    done = tool(*command)
    assert "longer, seed 0: changed: train_cfg.max_iters: 4000 -> 3" in done.stdout
    assert "1 of 2 runs are finished already" in done.stdout
    assert (finished / "result.json").stat().st_mtime_ns == stamp
    lines = list(csv.DictReader((tmp_path / "w" / "table.csv").open()))
    assert [(x["row"], x["state"], x["steps"]) for x in lines] == [
        ("full", "finished", "2"), ("longer", "finished", "3")
    ]  # fmt: skip
