"""Commands, options and numbers of the pages performance and scaling are those of the code."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import compare, plain, run, scaling
from benchmarks.count import count
from benchmarks.whole import FULL_SIZE
from mcltoolkit.engine.config import load_config
from mcltoolkit.registry import CORRESPONDENCES

ROOT = Path(__file__).resolve().parent.parent
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("performance", "scaling")}
COMMANDS = [
    line
    for page in PAGES.values()
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
]
RUNS = [shlex.split(line)[2:] for line in COMMANDS if "run.py" in line]


def test_no_command_is_left_out():
    tools = {shlex.split(line)[1] for line in COMMANDS}
    assert tools == {
        f"benchmarks/{name}.py" for name in ("run", "page", "compare", "count", "scaling")
    }
    assert len(COMMANDS) == 12
    assert all((ROOT / tool).is_file() for tool in tools)


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_runs_choose_cases(words):
    options = run.parse(words)
    assert options.list or run.chosen(options)


def test_a_run_a_page_and_a_comparison(tmp_path, monkeypatch, capsys):
    """As on the page, but for the sizes and for what is measured."""
    figures = {"seconds": [1.0, 1.0], "cpu_seconds": [1.0, 1.0], "least_seconds": 1.0,
               "median_seconds": 1.0, "memory_mb": 9.0}  # fmt: skip

    def measured(self, what, *words):
        both = {"fast": dict(figures), "plain": dict(figures)}
        return {"rates": {"matrix_product": 9.0}, "time": both}.get(what, {"memory_mb": 9.0})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.Processes, "__call__", measured)
    for words in (RUNS[0], [*RUNS[2], "--memory", "1000"]):
        monkeypatch.setattr("sys.argv", ["run.py", *words])
        run.main()
    lines = [shlex.split(line) for line in COMMANDS if "page.py" in line or "compare" in line]
    for words in lines:
        words = [str(tmp_path / "ratios.json") if "ratios.json" in w else w for w in words[2:]]
        if "--markdown" in words:
            monkeypatch.setattr("sys.argv", ["page.py", *words])
            from benchmarks import page

            page.main()
            assert "| `match/256/32` | 1.00 |" in (tmp_path / "work_dirs/full.md").read_text()
        else:
            if not (tmp_path / "ratios.json").exists():
                assert compare.main([*words[:2], "--accept"]) == 0
            assert compare.main(words) == 0
    assert "0 over 10% worse" in capsys.readouterr().out


def test_the_table_of_ops_is_whole():
    table = PAGES["performance"].split("| op |")[1].split("Beside the ops")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(plain.ops())


def test_settings_of_the_page_exist():
    config = load_config(ROOT / "configs" / "mclnet_scenes.py")
    for name in re.findall(r"^\| `(\w+) =", PAGES["performance"], re.MULTILINE):
        assert name in config, name
    part = CORRESPONDENCES.get("CosineCorrespondence")
    for memory in ("auto", "blocks", "dense"):
        part(4, 3, blocks=0, memory=memory)
        assert f'`"{memory}"`' in PAGES["performance"]


def test_options_of_scaling_are_its_own():
    for gpu, sheet in scaling.SHEETS.items():
        column = 1 + list(scaling.SHEETS).index(gpu)
        rows = [
            line.split("|")[column + 1].strip()
            for line in PAGES["scaling"].splitlines()
            if line.startswith(("| dense TF", "| memory, T", "| NVLink", "| network,"))
        ]
        peaks = " / ".join(f"{value:g}" for value in sheet.tflops.values())
        assert rows == [peaks, str(sheet.memory), str(sheet.link), str(sheet.network)]


def test_the_tables_of_scaling_are_those_of_its_script():
    page = PAGES["scaling"]
    made = scaling.tables(23.0)
    assert scaling.filled(page, made) == page, (
        "python benchmarks/scaling.py --write docs/scaling.md"
    )


def test_what_the_text_says_of_the_counts():
    plainly, ours = (count(FULL_SIZE[0], plain=form) for form in (True, False))
    gathered = plainly["forward"]["generator"] - ours["forward"]["generator"]
    # counted in the released code: 91 GFLOP of its generator convolve one-hot labels
    assert gathered == pytest.approx(91, rel=0.01)


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_that_are_named_exist(page):
    for file in re.findall(r"(?:configs|tools|docs|benchmarks)/[\w/]+\.\w+", PAGES[page]):
        assert (ROOT / file).is_file(), file
    for target in re.findall(r"\]\(([^)#]+)", PAGES[page]):
        assert (ROOT / "docs" / target).is_file(), target
