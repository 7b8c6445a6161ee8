"""Every command, file and example of the README is tried."""

import argparse
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.cli import add_commands
from mcltoolkit.commands import Commands
from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config, options_of, parse
from mcltoolkit.launcher.meeting import meeting
from mcltoolkit.registry import MODELS
from mcltoolkit.visualization.images import to_uint8

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
MADE_BY_RUNS = ("work_dirs/", "/path/to/", ".venv")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
TOOLS = [line for line in COMMANDS if line.startswith("python tools/")]
CLI = [line for line in COMMANDS if line.startswith("mcltoolkit ")]
SCRIPTS = [line for line in COMMANDS if re.search(r"tools/(dist|slurm)_\w+\.sh", line)]


def tool_options(name):
    """The `_options` of tools/NAME, which its parser adds to the shared ones."""
    spec = importlib.util.spec_from_file_location(f"readme_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._options


def parsed(words):
    """The options that `tools/NAME.py ...` would get."""
    name = Path(words[0]).stem
    return parse("", words[1:], tool_options(name))


@pytest.fixture
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_there_is_something_to_try():
    assert len(TOOLS) >= 3
    assert len(SCRIPTS) >= 4
    assert len(CLI) >= 3
    together = len(TOOLS) + len(CLI) + len(SCRIPTS) + 2
    assert together == len(COMMANDS), "and the two commands at the top"


def test_every_file_that_is_named_exists():
    words = {word for line in COMMANDS for word in shlex.split(line) if "/" in word}
    words |= set(re.findall(r"`((?:configs|tests|tools)/[\w./]+)`", README))
    words |= set(re.findall(r"\]\((?!http)([^)]+)\)", README))
    files = {word for word in words if not word.startswith(MADE_BY_RUNS)}
    assert len(files) >= 8
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []


def test_every_shipped_config_is_in_the_table():
    named = set()
    for start, choices, end in re.findall(
        r"^\| `(configs/\w+)(?:\{([\w,]+)\})?(\.py)`", README, re.MULTILINE
    ):
        named |= {f"{start}{choice}{end}" for choice in choices.split(",")}
    assert named == {f"configs/{file.name}" for file in (ROOT / "configs").glob("*.py")}


@pytest.mark.parametrize("script", sorted((ROOT / "tools").glob("*.sh")), ids=lambda p: p.name)
def test_scripts_are_valid_shell(script):
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", TOOLS)
def test_python_commands_parse_and_their_configs_load(line, in_root):
    options = parsed(shlex.split(line)[1:])
    config = load_config(options.config, **options_of(options))
    for key, value in options.cfg_options.items():
        node = config
        for part in key.split("."):
            node = node[part]
        assert node == value
    assert config.model.type == "ExemplarGAN"


def test_the_ablation_on_the_command_line_drops_the_loss(in_root):
    (line,) = [line for line in TOOLS if "=None" in line]
    options = parsed(shlex.split(line)[1:])
    assert load_config(options.config).model.losses.mcl.weight > 0
    assert load_config(options.config, **options_of(options)).model.losses.mcl is None


@pytest.mark.parametrize("line", SCRIPTS)
def test_launch_scripts_hand_on_commands_that_parse(line, in_root, tmp_path):
    """`python` and `srun` are stand-ins that print what they are called with."""
    for name in ("python", "srun"):
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHON", "PORT", "MASTER_PORT")
    }
    done = subprocess.run(
        ["bash", "-c", line], env={**environment, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    start = next(i for i, word in enumerate(words) if re.search(r"tools/(train|test)\.py$", word))
    options = parsed(words[start:])
    assert options.launcher == ("slurm" if "slurm" in line else "pytorch")
    if "slurm" not in line:
        assert words[words.index("mcltoolkit.launcher") + 1] == "4"
    if "NNODES=2" in line:
        given = dict(word.split("=") for word in line.split()[:4])
        assert meeting(given) == shlex.split(
            "--nnodes 2 --node_rank 0 --master_addr node0 --master_port 29500"
        )
    config = load_config(options.config, **options_of(options))
    if options.data_root:
        assert config.train_dataloader.dataset.data_root == options.data_root
        assert config.model.vgg.weights == options.vgg_weights


@pytest.mark.parametrize("tool", ["train", "test"])
def test_help_knows_the_options(tool):
    done = subprocess.run(
        [sys.executable, f"tools/{tool}.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    listed = set(re.findall(r"--[a-z][a-z-]+", done.stdout))
    (sentence,) = re.findall(r"Options of `train\.py`:(.*?)\.", README, re.DOTALL)
    named = set(re.findall(r"--[a-z-]+", sentence))
    assert len(named) >= 6
    of_training = {"--resume", "--amp", "--deterministic", "--detect-anomaly"}
    assert named - listed == (set() if tool == "train" else of_training)


@pytest.mark.parametrize("line", CLI)
def test_commands_of_the_toolkit_parse(line):
    """They run in tests/test_docs_translate.py, test_docs_demo_page.py and test_docs_export.py."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", action=Commands)
    commands.add("mcltoolkit", add_commands)
    words = shlex.split(line)[1:]
    parsed = parser.parse_args(words)
    assert callable(parsed.run)
    assert parsed.command == words[0]
    assert parsed.checkpoint == words[1]


def test_checkpoints_are_named_as_the_scenes_training_names_them():
    steps = load_config(ROOT / "configs" / "mclnet_scenes.py").train_cfg.max_iters
    pages = [README, *(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")))]
    named = re.findall(r"work_dirs/(?:demo|scenes|mclnet_scenes)/iter_(\d+)", "\n".join(pages))
    assert len(named) > 10
    assert set(named) == {str(steps)}


def test_three_lines_translate(tmp_path, monkeypatch, tiny_config):
    (code,) = [block for block in blocks("python") if "load_model" in block]
    checkpoint = tmp_path / "work_dirs" / "demo" / "iter_350.pth"
    checkpoint.parent.mkdir(parents=True)
    scenes = SyntheticScenes(split="test", length=1, size=(32, 32))
    torch.manual_seed(0)
    config = load_config(tiny_config)
    content = {
        "config": config._cfg_dict.to_dict(),
        "state_dict": MODELS.build(config.model).state_dict(),
        "meta": {"dataset_meta": scenes.metainfo},
    }
    torch.save(content, checkpoint)
    sample = scenes[0]
    for name in ("labels", "exemplar_labels"):
        labels = getattr(sample, name).numpy().astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / f"{name}.png")
    Image.fromarray(to_uint8(sample.exemplar)).save(tmp_path / "exemplar.png")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert Image.open(tmp_path / "output.png").size == (32, 32)


def test_the_plugins_command_exists(capsys):
    from mcltoolkit.cli import main

    assert "`mcltoolkit plugins`" in README
    assert "mcltoolkit=mcltoolkit.cli:main" in (ROOT / "setup.py").read_text().replace(" ", "")
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "--help"])
    assert ended.value.code == 0


def test_the_ablation_in_a_config_of_ones_own_loads(tmp_path):
    (code,) = [block for block in blocks("python") if "_base_" in block]
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "ablation.py"
    file.write_text(code)
    config, base = load_config(file), load_config(tmp_path / "configs" / "mclnet_scenes.py")
    assert base.model.self_correlation is not None
    assert config.model.self_correlation is None
    assert config.model.losses == base.model.losses


def test_the_plugin_example_trains(tmp_path, tiny_config):
    (code,) = [block for block in blocks("python") if "register_module" in block]
    (named,) = re.findall(r'`(plugins = \["my_plugin"\])`', README)
    (loss,) = re.findall(r'`(dict\(type="DarknessLoss"[^`]*)`', README)
    (tmp_path / "my_plugin.py").write_text(code)
    config = tmp_path / "dark.py"
    config.write_text(
        f"_base_ = {str(tiny_config)!r}\n{named}\n"
        f"model = dict(losses=dict(dark={loss}))\n"
        "train_cfg = dict(max_iters=1)\n"
        "default_hooks = dict(checkpoint=dict(interval=1))\n"
        "custom_hooks = [dict(type='LossAuditHook')]\n"
        "val_dataloader = None\nval_cfg = None\nval_evaluator = None\n"
    )
    done = subprocess.run(
        [sys.executable, "tools/train.py", config, "--work-dir", tmp_path / "work"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'dark'" in done.stdout + done.stderr, "the audit lists it"
    values = re.findall(r"loss_dark: ([\d.]+)", done.stdout + done.stderr)
    assert float(values[0]) > 0
    checkpoint = torch.load(tmp_path / "work" / "iter_1.pth", weights_only=True)
    assert checkpoint["meta"]["iter"] == 1
