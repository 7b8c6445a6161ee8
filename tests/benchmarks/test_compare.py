"""Regressions against stored ratios, and the exit codes that tell of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.compare import accepted, changes, main
from mcltoolkit.errors import ToolkitError

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {"threads": 2, "device": "cpu", "dtype": "float32"}


def content(cases, **settings):
    return {
        "format": 1,
        "machine": {"cores": 2},
        "versions": {"torch": "2"},
        "settings": {**SETTINGS, **settings},
        "cases": cases,
    }


def ratios(time, memory=0.5):
    return {"ratios": {"time": time, "cpu_time": time, "memory": memory}, "group": "parts"}


@pytest.fixture
def compare(tmp_path, capsys):
    """Exit status and output for two files' contents."""

    def call(old, new, *words):
        files = [tmp_path / name for name in ("old.json", "new.json")]
        for file, found in zip(files, (old, new), strict=True):
            file.write_text(found if isinstance(found, str) else json.dumps(found))
        try:
            status = main([*map(str, files), *words])
        except ToolkitError as error:
            return 2, str(error)
        return status, capsys.readouterr().out

    return call


def test_the_command_ends_with_these_statuses(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(content({"a/1": ratios(0.5)})))
    new.write_text(json.dumps(content({"a/1": ratios(0.9)})))
    for files, status in (((old, new), 1), ((old, tmp_path / "none.json"), 2)):
        command = [sys.executable, "benchmarks/compare.py", *files]
        assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == status


def test_nothing_worse_ends_well(compare):
    old = content({"a/1": ratios(0.5), "b/1": ratios(0.8)})
    new = content({"a/1": ratios(0.549), "c/1": ratios(3.0)})  # within 10 %, and a new case
    status, said = compare(old, new)
    assert status == 0, said
    assert "2 ratios compared, 0 over 10% worse; 2 cases in one file alone" in said


def test_a_regression_is_named_with_both_ratios_and_fails(compare):
    old = content({"a/1": ratios(0.5), "b/1": ratios(0.8)})
    new = content({"a/1": ratios(0.56), "b/1": ratios(0.7, memory=0.6)})
    status, said = compare(old, new)
    assert status == 1
    lines = [line for line in said.splitlines() if "REGRESSION" in line]
    assert len(lines) == 2
    (of_time,) = [line for line in lines if "a/1" in line]
    assert all(word in of_time for word in ("time", "0.500", "0.560", "+12.0%"))
    (of_memory,) = [line for line in lines if "b/1" in line]
    assert all(word in of_memory for word in ("memory", "0.500", "0.600", "+20.0%"))
    assert compare(old, new, "--tolerance", "0.25")[0] == 0


def test_a_case_that_fails_now_is_a_regression(compare):
    new = content({"a/1": {"group": "parts", "error": "killed: no memory"}})
    status, said = compare(content({"a/1": ratios(0.5)}), new)
    assert status == 1
    assert "killed: no memory" in said


def test_what_cannot_be_compared_is_refused(compare):
    one = content({"a/1": ratios(0.5)})
    assert compare(one, content({"b/1": ratios(0.5)}))[0] == 2
    status, said = compare(one, content({"a/1": ratios(0.5)}, device="cuda"))
    assert status == 2
    assert "device 'cpu'" in said
    assert compare("{", one)[0] == 2
    assert compare(one, one, "--tolerance", "-1")[0] == 2


def test_accepted_ratios_are_small_and_keep_the_others():
    old = content({"a/1": ratios(0.5), "b/1": ratios(0.8)})
    new = content({"a/1": {**ratios(0.4), "fast": {"seconds": [1.0]}}, "c/1": {"error": "no"}})
    found = accepted(old, new)
    assert set(found["cases"]) == {"a/1", "b/1"}
    assert set(found["cases"]["a/1"]) == {"ratios"}
    assert found["cases"]["a/1"]["ratios"]["time"] == 0.4
    assert accepted({}, new)["settings"] == SETTINGS


def test_spread_is_that_of_the_noisier_run():
    old = content({"a/1": {"ratios": {"time": 0.5, "time_spread": 0.03}}})
    new = content({"a/1": {"ratios": {"time": 0.5, "time_spread": 0.2}}})
    (change,) = changes(old, new, ["time"])
    assert change.spread == 0.2
    assert change.relative == 0


def test_the_stored_ratios_can_be_read(compare):
    stored = json.loads((ROOT / "benchmarks" / "ratios.json").read_text())
    status, said = compare(stored, stored)
    assert status == 0, said
