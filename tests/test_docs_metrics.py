"""Commands, names and fields of docs/metrics.md are those of the code."""

import argparse
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics import Result, check_comparable, choice, read_results, write_results
from mcltoolkit.metrics.evaluate_command import add_arguments, run
from mcltoolkit.registry import METRICS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for line in blocks("bash")[0].splitlines() if line.strip()]
EVALUATIONS = [line for line in COMMANDS if "tools/evaluate.py" in line]
ROWS = re.findall(r"^\| (`[^|]+) \| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folders that the commands name."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder in ("outputs", "reference", "exemplars", "labels"):
        Path(folder).mkdir()
        for i in range(3):
            shape = (32, 32) if folder == "labels" else (32, 32, 3)
            pixels = random.integers(0, 4 if folder == "labels" else 255, shape, np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{i}.png")
    return tmp_path


def evaluate(line):
    """As it stands, but for weights that nobody has here, and the number of images."""
    words = ["random" if w.startswith("weights/") else w for w in shlex.split(line)[2:]]
    if "fid" in words:
        words += ["--allow-small", "--kid-subset-size", "2"]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with open("said", "w") as file:
        run(parser.parse_args(words), Console(file=file, width=200))
    return Path("said").read_text()


def test_the_evaluations_of_the_page(place):
    assert len(EVALUATIONS) == 4
    assert "psnr" in evaluate(EVALUATIONS[0])
    evaluate(EVALUATIONS[1])
    results = read_results("ours.json")
    assert {"psnr", "swd", "lpips", "style_colour_paper", "semantic_released"} <= set(results)
    assert "fewer_samples_than_features: True" in evaluate(EVALUATIONS[2])
    assert set(read_results("fid.json")) == {"fid", "kid", "kid_std"}
    fields = {field for r in (*results.values(), *read_results("fid.json").values())
              for field in r.passport}  # fmt: skip
    told = {f for row in re.findall(r"^\| (`.*?) \|", PAGE.split("## Passports")[1], re.MULTILINE)
            for f in re.findall(r"`(\w+)`", row)}  # fmt: skip
    assert fields <= told
    write_results("theirs.json", {**results, "psnr": Result(1, results["psnr"].passport)})
    assert "1.0000" in evaluate(EVALUATIONS[3])
    code = next(block for block in blocks("python") if "check_comparable" in block)
    exec(code, {})
    write_results("theirs.json", {"psnr": Result(1, {})})
    with pytest.raises(ConfigError, match="psnr cannot be compared"):
        evaluate(EVALUATIONS[3])


def test_tests_take_the_options_of_the_page():
    parser = argparse.ArgumentParser()
    choice.add_options(parser, tuple(choice.TYPES))
    (line,) = [line for line in COMMANDS if "tools/test.py" in line and "--metrics" in line]
    options = parser.parse_args(shlex.split(line)[4:])
    options.vgg_weights = None
    settings = choice.settings_of(options.metrics, options)
    assert settings["fid"]["weights"] == "weights/inception.pth"


def test_options_that_are_named_exist():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for option in set(re.findall(r"--[a-z][a-z-]+", PAGE)):
        assert option in parser.format_help(), option


def test_the_table_has_every_metric_with_its_class_and_values():
    listed = {}
    for names, kind, values in ROWS:
        for name in re.findall(r"`(\w+)`", names):
            if name in choice.TYPES:
                listed[name] = kind
        assert METRICS.get(kind) is not None
        known = {key.split("@")[0] for key in METRICS.get(kind).protocols} or {"swd", "pck"}
        assert {v.split("@")[0] for v in re.findall(r"`([\w@]+)`", values)} <= known, kind
    assert listed == choice.TYPES
    values = set(re.findall(r"`(\w+)`", PAGE))
    for keys in choice.KEYS.values():
        assert set(keys) <= values


def test_the_evaluator_of_the_page_names_metrics():
    found: dict = {}
    exec(next(block for block in blocks("python") if "val_evaluator" in block), found)
    assert all(METRICS.get(entry["type"]) for entry in found["val_evaluator"])


def test_the_plain_api_stops_what_differs():
    with pytest.raises(ConfigError):
        check_comparable({"a": {"x": Result(1, {"seed": 0})}, "b": {"x": Result(1, {"seed": 1})}})
