"""Commands, settings and defaults of docs/training.md are those of the code."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mcltoolkit.cli import main
from mcltoolkit.data.error_policy import ErrorPolicy
from mcltoolkit.data.shards import ShardSampler, TarShards
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks import CollapseAlarmHook, NonFiniteHook
from mcltoolkit.engine.hooks.collapse import LIMITS
from mcltoolkit.engine.launch import train
from mcltoolkit.registry import HOOKS, MODEL_WRAPPERS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]
SETTINGS = [code for code in blocks("python") if not code.startswith("dict(")]


@pytest.mark.parametrize("file", sorted({w for line in COMMANDS for w in line.split() if "/" in w
                                         and w.endswith((".py", ".sh"))}))  # fmt: skip
def test_files_of_the_commands_exist(file):
    assert (ROOT / file).is_file()


@pytest.mark.parametrize("tool", ["tools/train.py", "tools/make_shards.py",
                                  "benchmarks/input_side.py"])  # fmt: skip
def test_options_of_the_commands_exist(tool):
    lines = [line for line in COMMANDS if tool in line]
    assert lines
    words = {word for line in lines for word in line.split() if word.startswith("--")}
    text = subprocess.run(
        [sys.executable, tool, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [word for word in sorted(words) if word not in text] == []


def test_a_strangers_file_is_stripped_as_the_page_says(tmp_path):
    (line,) = [line for line in COMMANDS if "strip_checkpoint" in line]
    torch.save({"weight": torch.ones(2), "odd": inspect.Signature()}, tmp_path / "foreign.pth")
    words = [w.replace("tools/", f"{ROOT}/tools/") for w in shlex.split(line)]
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "1 objects left out" in done.stdout
    assert torch.load(tmp_path / "plain.pth", weights_only=True).keys() == {"weight"}


def test_replay_is_a_command(capsys):
    (line,) = [line for line in COMMANDS if line.startswith("mcltoolkit replay")]
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line)[1:])
    assert ended.value.code == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("code", SETTINGS)
def test_settings_name_what_exists(code):
    config = Config.fromstring(code, ".py")
    for key in config:
        assert key in Config.fromfile(ROOT / "configs" / "mclnet_scenes.py"), key
    if "model_wrapper_cfg" in config:
        assert config.model_wrapper_cfg.type in MODEL_WRAPPERS.module_dict
    if "train_dataloader" in config and "dataset" in config.train_dataloader:
        known = inspect.signature(TarShards).parameters
        assert [k for k in config.train_dataloader.dataset if k != "type" and k not in known] == []


def test_settings_of_one_process_train(tiny_config, tmp_path):
    """Recomputing and accumulating, by the page's own words."""
    file = tmp_path / "page.py"
    chosen = [c for c in SETTINGS if "accumulative" in c or "activation" in c]
    assert len(chosen) == 2
    file.write_text(f"_base_ = {str(tiny_config)!r}\n" + "\n".join(chosen))
    options = {"train_cfg.max_iters": 4, "default_hooks.checkpoint.interval": 4}
    config = load_config(file, options, work_dir=str(tmp_path / "work"))
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    train(config)
    assert (tmp_path / "work" / "iter_4.pth").exists()


def test_defaults_of_the_page():
    (code,) = [code for code in blocks("python") if code.startswith("dict(")]
    hook = eval(code.split("#")[0])
    assert HOOKS.get(hook.pop("type")) is NonFiniteHook
    defaults = {n: p.default for n, p in inspect.signature(NonFiniteHook).parameters.items()}
    assert hook == defaults
    alarm = {n: p.default for n, p in inspect.signature(CollapseAlarmHook).parameters.items()}
    for name, value in re.findall(r"`(interval|begin|patience)=(\d+)`", PAGE):
        assert alarm[name] == int(value)
    rows = re.findall(r"`alarm/(\w+)` \| [<>] ([\d.]+) \| [<>] ([\d.]+)", PAGE)
    assert {name: (float(up), float(down)) for name, up, down in rows} == LIMITS
    assert (ErrorPolicy().policy, ErrorPolicy().max_skipped) == ("stop", 100)
    shards = inspect.signature(TarShards).parameters
    assert (shards["attempts"].default, shards["cache_size"].default) == (3, 20)
    assert inspect.signature(ShardSampler).parameters["window"].default == 4
