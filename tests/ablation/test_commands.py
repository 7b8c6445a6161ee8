import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from mcltoolkit.ablation.commands import command
from mcltoolkit.ablation.settings import effective, fingerprint, training_part
from mcltoolkit.engine.config import load_config, options_of, parse
from mcltoolkit.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def calls(tmp_path):
    """What a shell command really calls: `python` and `srun` are stand-ins that write down their
    words."""

    def record(text):
        folder = tmp_path / "stand-ins"
        folder.mkdir(exist_ok=True)
        log = tmp_path / "calls.txt"
        log.unlink(missing_ok=True)
        for name in ("python", "srun"):
            (folder / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "" >> {log}\n')
            (folder / name).chmod(0o755)
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "MASTER_PORT")}
        environment["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(["bash", "-c", text], cwd=ROOT, env=environment,
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [call.splitlines() for call in log.read_text().strip("\n").split("\n\n")]

    return record


def parsed(words):
    """The options that the real tool reads from a call's words."""
    import importlib.util

    start = next(i for i, word in enumerate(words) if re.search(r"tools/(train|test)\.py$", word))
    file = ROOT / words[start]
    spec = importlib.util.spec_from_file_location(f"ablation_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return file.stem, parse("", words[start + 1 :], module._options)


@pytest.mark.parametrize("launcher", ["dist", "slurm"])
def test_the_commands_do_what_the_runs_are(content, planned, calls, launcher, tmp_path):
    content["groups"]["no labels"]["model.losses.dark"] = {"type": "PixelPseudoPairLoss",
                                                           "weight": 0.5}  # fmt: skip
    content["groups"]["no labels"]["train_dataloader.dataset.size"] = [32, 64]
    _, runs = planned(content)
    run = next(r for r in runs if (r.row, r.group, r.seed) == ("w/o mcl", "no labels", 3))
    run.train_dir.mkdir(parents=True)
    (run.train_dir / "last_checkpoint").write_text(str(run.train_dir / "a file.pth"))
    found = calls(command(run, launcher, Path("tools"), gpus=2, partition="big gpus"))
    jobs = [parsed(words) for words in found]
    assert [name for name, _ in jobs] == ["train", "test", "test"]
    options = jobs[0][1]
    assert options.launcher == {"dist": "pytorch", "slurm": "slurm"}[launcher]
    settings = effective(load_config(options.config, **options_of(options)))
    assert fingerprint(training_part(settings)) == run.fingerprint
    assert options.work_dir == str(run.train_dir)
    for (_, options), evaluation in zip(jobs[1:], run.evaluations, strict=True):
        assert options.checkpoint == str(run.train_dir / "a file.pth")
        assert options.out == str(evaluation.folder)
        settings = effective(load_config(options.config, **options_of(options)))
        assert evaluation.folder.name == f"{evaluation.name}-{fingerprint(settings)}"
    words = found[0]
    if launcher == "dist":
        assert words[words.index("mcltoolkit.launcher") + 1] == "2"
    else:
        assert words[words.index("--partition") + 1] == "big gpus"
        assert words[words.index("--ntasks") + 1] == "2"
        assert words[words.index("--job-name") + 1] == f"{run.stem}-train"


def test_data_and_weights_are_handed_on(planned, content, root, calls):
    content["base"] = str(root / "configs/mclnet_ade20k.py")
    content["options"], content["groups"] = {}, {}
    content["changes"] = {"full": {}}
    content["evaluations"] = {"scenes": {}, "self": {"test_dataloader.batch_size": 1}}
    _, runs = planned(content, data_root="/data/a b", vgg_weights="random")
    text = command(runs[0], "dist", Path("tools"))
    assert shlex.quote("/data/a b") in text
    runs[0].train_dir.mkdir(parents=True)
    (runs[0].train_dir / "last_checkpoint").write_text("x.pth")
    for words in calls(text):
        _, options = parsed(words)
        assert (options.data_root, options.vgg_weights) == ("/data/a b", "random")


@pytest.mark.parametrize(
    ("value", "why"),
    [([{"type": "GridHook"}], "list of dicts"), ("1.5", "text that looks like a number"),
     ("a, b", "text that looks like a list"), ("f(x,y", "brackets that do not close")],
)  # fmt: skip
def test_what_an_option_cannot_express(content, planned, value, why):
    content["options"]["custom_hooks"] = value
    _, runs = planned(content)
    with pytest.raises(ConfigError, match="custom_hooks is .*cannot express.*config: FILE"):
        command(runs[0], "dist", Path("tools"))
