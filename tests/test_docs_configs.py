"""Every command, example and file of docs/configs.md is tried."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from mcltoolkit.cli import main
from mcltoolkit.engine.config import load_config, options_of, parse

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "configs.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]
EXPLAIN = [line for line in COMMANDS if line.startswith("mcltoolkit explain ")]
TRAIN = [line for line in COMMANDS if line.startswith(("python tools/train.py", "tools/dist_"))]


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_no_command_is_left_out():
    assert len(EXPLAIN) >= 4
    assert len(EXPLAIN) + len(TRAIN) == len(COMMANDS)


@pytest.mark.parametrize("line", EXPLAIN)
def test_explain_runs(line, capsys):
    words = shlex.split(line)
    main(words[1:])
    printed = capsys.readouterr().out
    columns = 3 if "--diff" in words else 5 + 6 + 2 + 3
    assert printed.count("|--") == columns
    if "--size" in words:
        assert "3 x 96 x 128" in printed
        assert re.search(r"\| cyc +\| +off \|", printed)
        assert re.search(r"\| model.losses.cyc +\| --cfg-options +\| None", printed)


@pytest.mark.parametrize("line", TRAIN)
def test_trainings_parse_and_their_settings_arrive(line):
    words = shlex.split(line)
    if words[0].endswith("dist_train.sh"):
        words = ["python", "tools/train.py", words[1], *words[3:]]
    options = parse("", words[2:], lambda parser: None)
    config = load_config(options.config, **options_of(options))
    assert config.model.type == "ExemplarGAN"
    for key, value in options.cfg_options.items():
        node = config
        for part in key.split("."):
            node = node[int(part) if part.isdecimal() else part]
        assert node == value


def test_the_file_of_ones_own_loads(tmp_path):
    (code,) = [block for block in blocks("python") if "_base_" in block]
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "own.py"
    file.write_text(code)
    config = load_config(file)
    assert config.train_dataloader.batch_size * 8 == 32
    assert config.model.losses.mcl.weight == 0.1
    assert config.model.losses.mcl.temperature == 0.07


def test_the_python_example_runs(capsys):
    (code,) = [block for block in blocks("python") if "_base_" not in block]
    exec(compile(code, "docs/configs.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "'generator': " in printed
    assert "'model.losses.mcl.weight': '--cfg-options'" in printed


def test_every_file_that_is_named_exists_and_all_ablations_are_listed():
    named = set(re.findall(r"(?:configs|tools)/[\w./]+\.(?:py|sh)", PAGE)) - {
        "configs/METHOD_DATA.py"
    }
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    ablations = {
        f"configs/ablations/{f.name}" for f in (ROOT / "configs/ablations").glob("ade20k_*.py")
    }
    assert ablations == set(re.findall(r"^\| `(\S+)` \|", PAGE, re.MULTILINE))
