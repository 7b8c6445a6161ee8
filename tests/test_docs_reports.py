"""Commands, files and settings of docs/reports.md are those of the code."""

import inspect
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mcltoolkit.cli import main
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks import CollapseAlarmHook
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.visualization import embedding, inspector_section, match_table, sample_sections

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reports.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]


def command(start):
    (line,) = [line for line in COMMANDS if line.startswith(start)]
    return shlex.split(line)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The page's training and test, on the tiny scenes."""
    folder = tmp_path_factory.mktemp("docs")
    tiny = str(ROOT / "tests" / "configs" / "tiny_scenes.py")
    few = ["--cfg-options", "train_cfg.max_iters=2", "train_cfg.val_interval=2"]
    changed = {
        "configs/mclnet_scenes.py": tiny,
        "work_dirs/scenes/iter_350.pth": str(folder / "work_dirs/scenes/iter_2.pth"),
        "work_dirs/scenes": str(folder / "work_dirs/scenes"),
    }
    for start in ("python tools/train.py", "python tools/test.py"):
        words = [changed.get(word, word) for word in command(start)]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            patch.setattr(sys, "argv", [*words[1:], *few])
            patch.setattr(sys, "path", [*sys.path])
            runpy.run_path(words[1], run_name="__main__")
    config = load_config(tiny, work_dir=str(folder / "work_dirs/wide"))
    run_test(config, None)
    return folder / "work_dirs"


def test_a_training_and_its_test_leave_the_files_of_the_page(work):
    tables = re.findall(r"^\| `([^`]+)`", PAGE, re.MULTILINE)
    assert len(tables) == 9
    for name in tables:
        pattern = (
            name.replace("_NNNNNN.", "_" + "[0-9]" * 6 + ".")
            .replace("TIMESTAMP", "[0-9]*")
            .rstrip("/")
        )
        found = [*(work / "scenes").glob(pattern), *(work / "scenes" / "test").glob(pattern)]
        assert found, name
    lines = (work / "scenes" / "test" / "report.html").read_text()
    for title in ("Best, median and worst samples", "Match inspector", "Label transfer by class"):
        assert f"<h2>{title}</h2>" in lines


def test_the_comparison_of_the_page(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work_dirs").symlink_to(work)
    whole, without = [shlex.split(c)[1:] for c in COMMANDS if c.startswith("mcltoolkit report")]
    main(without)
    assert "SSIM" not in (tmp_path / "compare.html").read_text()
    main(whole)
    html = (tmp_path / "compare.html").read_text()
    assert "SSIM" in html
    assert ">scenes</th>" in html
    assert ">wide</th>" in html


def test_the_backends_of_the_page_are_known():
    (code,) = [code for code in blocks("python") if "vis_backends" in code]
    config = Config.fromstring(code, ".py")
    from mmengine.registry import VISBACKENDS

    for backend in config.visualizer.vis_backends:
        options = {k for k in backend if k != "type"}
        kind = VISBACKENDS.get(backend.type)
        assert options <= set(inspect.signature(kind).parameters)


def test_the_code_of_the_page(tiny_gan, scenes):
    (code,) = [code for code in blocks("python") if "seen_from" in code]
    (prediction,) = tiny_gan().eval().test_step(scenes(1))
    scope = {"prediction": prediction}
    exec(code, scope)
    assert scope["picture"].shape == (32, 32, 3)
    assert scope["heat"].shape == prediction.match.grid


def test_numbers_of_the_page():
    assert f"{embedding.LARGE // 1000} kB" in PAGE
    assert f"{sample_sections.LARGEST_SIDE} pixels" in PAGE
    assert f"{inspector_section.BUDGET // 2**20} MB for the inspector" in PAGE
    assert f"{match_table.LARGEST} x {match_table.LARGEST} pairs" in PAGE
    assert f"every {CollapseAlarmHook().interval} steps" in PAGE
