"""Every command and example of docs/plugins.md is tried, in the order of the page."""

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mcltoolkit
from mcltoolkit import hookspecs, testing
from mcltoolkit.cli import main
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.engine.launch import train
from mcltoolkit.interfaces import FILLED_IN
from mcltoolkit.plugin_template import KINDS
from mcltoolkit.registry import LOSSES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "plugins.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


LOSS, CONFORMANCE, CONFIG, *MODULES = blocks("python")
CREATE, *LATER = [line for block in blocks("bash") for line in block.splitlines()]
SMALL = [
    "train_cfg.max_iters=2",
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "train_dataloader.dataset.length=4",
    "val_dataloader.dataset.length=2",
    "default_hooks.logger.interval=1",
]


def test_no_block_is_left_out():
    assert len(MODULES) == 5
    assert all(code.startswith("# ") for code in MODULES)
    assert len(LATER) == 5
    assert PAGE.count("\n```") == 2 * (3 + len(MODULES) + len(blocks("bash")))


@pytest.mark.integration
def test_a_loss_in_ten_minutes(tmp_path):
    clone, site, package = tmp_path / "clone", tmp_path / "site", tmp_path / "sharp-edges"
    clone.mkdir()
    (clone / "tools").symlink_to(ROOT / "tools")

    def run(line, *more):
        program, *words = shlex.split(line)
        if program == "pip":  # of a copy, and into a folder of the test's
            shutil.copytree(package, tmp_path / "copy")
            words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
            words += ["--target", str(site), str(tmp_path / "copy")]
        elif program == "mcltoolkit":
            words = ["-m", "mcltoolkit.cli", *words]
        else:
            assert program == "python"
        done = subprocess.run(
            [sys.executable, *words, *more],
            cwd=clone,
            env={
                **os.environ,
                "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
                "OMP_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    run(CREATE)
    files = {str(file.relative_to(package)) for file in package.rglob("*") if file.is_file()}
    assert {"setup.py", "README.md", "sharp_edges/loss.py", "tests/test_conformance.py"} <= files
    (package / "sharp_edges" / "loss.py").write_text(LOSS)
    (package / "tests" / "test_conformance.py").write_text(CONFORMANCE)
    install, test, plugins, explained, trained = LATER
    assert install == 'pip install -e "../sharp-edges[test]"'
    assert '"mcltoolkit[metrics]"' in (package / "setup.py").read_text()
    assert '`pip install -e ".[metrics]"`' in PAGE
    assert '"metrics": METRICS' in (ROOT / "setup.py").read_text()
    run(install)
    assert int(re.search(r"(\d+) passed", run(test))[1]) >= 12
    assert re.search(r"sharp_edges  \(entry point.*\n  losses +SharpEdgesLoss", run(plugins))
    assert re.search(r"\| sharp_edges +\| +1 +\| SharpEdgesLoss +\| sharp_edges", run(explained))
    log = run(trained, "--cfg-options", *SMALL)
    assert float(re.search(r"loss_sharp_edges: ([\d.]+)", log)[1]) > 0
    assert (clone / "work_dirs" / "edges").is_dir()
    (tmp_path / "other.py").write_text(CONFIG)
    assert "| SharpEdgesLoss" in run("mcltoolkit explain ../other.py")


def test_the_functions_of_a_plugin(load_plugin, tiny_config, tmp_path, capsys):
    for code in MODULES:
        (name,) = re.findall(r"^# (\w+)\.py\n", code)
        load_plugin(name, code)
    options = {
        "model.correspondence.type": "ConfidentCorrespondence",
        "model.losses.doubt": {"type": "DoubtLoss", "weight": 0.1},
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 2,
        "default_hooks.logger.interval": 50,
        "log_level": "ERROR",
    }
    assert LOSSES.origin("DoubtLoss") == "confidence"
    work = tmp_path / "work"
    config = load_config(tiny_config, options, work_dir=str(work))
    (setting,) = (
        setting
        for setting in explain(tiny_config, options).settings
        if setting.key == "default_hooks.logger.interval"
    )
    assert (setting.value, str(setting.origin)) == (1, "plugin trials")
    runner = train(config)
    doubt = runner.message_hub.get_scalar("train/loss_doubt").current()
    assert 0 < doubt < 0.1

    metrics = run_test(config, str(work / "iter_2.pth"))
    report = (work / "test" / "report.html").read_text()
    gain = metrics["psnr"] - metrics.get("psnr_copy_exemplar", 0.0)
    assert "<h2>Gain</h2>" in report
    assert f"{gain:.1f}" in report.split("<h2>Gain</h2>")[1]

    notes = [json.loads(line) for line in (work / "notes.jsonl").read_text().splitlines()]
    assert [note["step"] for note in notes] == [1, 2]
    assert notes[0]["loss"] > 0
    assert notes[1]["stage"] == "val"
    tested = json.loads((work / "test" / "log" / "notes.jsonl").read_text())
    assert (tested["step"], tested["stage"]) == (2, "test")
    assert tested["psnr"] == pytest.approx(metrics["psnr"])

    capsys.readouterr()
    main(["steps", str(work / "iter_2.pth")])
    assert capsys.readouterr().out == "2\n"


def test_the_table_of_kinds_is_true():
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| `([\w.]+)` \| (.*?) \|? ?`(\w+)` \|$", PAGE, re.M)
    assert {row[0] for row in rows} == {*FILLED_IN, "loss"} == {*KINDS, "descriptor"}
    for kind, decorator, promise, filled, tests in rows:
        assert tuple(re.findall(r"`(\w+)`", filled)) == FILLED_IN.get(kind, ())
        assert hasattr(mcltoolkit, decorator)
        assert getattr(testing, tests)
        module, name = promise.rsplit(".", 1)
        assert hasattr(__import__(f"mcltoolkit.{module}", fromlist=[name]), name)


def test_the_table_of_functions_is_the_contract():
    listed = dict(re.findall(r"^\| `(\w+)\(([\w, ]*)\)` \|", PAGE, re.MULTILINE))
    contract = {
        name: ", ".join(inspect.signature(function).parameters)
        for name, function in vars(hookspecs).items()
        if hasattr(function, "mcltoolkit_spec")
    }
    assert listed == contract


def test_what_it_links_and_names_is_there():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    for name in re.findall(r"`mcltoolkit::(\w+\.py)`", PAGE):
        assert (ROOT / "configs" / name).is_file()
    from mcltoolkit import plugin_report, plugins

    known = {plugins.ENV_MODULES, plugin_report.ENV_DISABLE}
    assert set(re.findall(r"MCLTOOLKIT_\w+", PAGE)) == known
    assert f"both {hookspecs.CONTRACT_VERSION} today" in PAGE


def test_every_package_is_listed():
    there = {folder.name for folder in (ROOT / "plugins").glob("mcltoolkit-*")}
    assert there <= set(re.findall(r"^\| `(mcltoolkit-\w+)` \|", PAGE, re.MULTILINE))
