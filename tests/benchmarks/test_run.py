"""The driver: what it measures, writes, goes on with and refuses."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from benchmarks import measure, results, run
from benchmarks.cases import Case, Place, all_cases
from benchmarks.machine import machine, peak_memory, rates
from mcltoolkit.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent.parent
MEGABYTE = 2**20
# a case of a part, cheap enough for a test
SMALL = "match/256/32"


def held(megabytes):
    """Work that holds so much for a moment."""
    return lambda place: lambda: torch.ones(megabytes * MEGABYTE, dtype=torch.uint8).sum() * 0.0


def test_a_case_from_the_command_to_its_file(tmp_path):
    out = tmp_path / "found.json"
    words = ["--only", SMALL, "--threads", "1", "--budget", "0", "--out", out]
    command = [sys.executable, "benchmarks/run.py", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert SMALL[:8] in done.stdout
    found = json.loads(out.read_text())
    assert found["settings"] == {"threads": 1, "device": "cpu", "dtype": "float32"}
    case = found["cases"][SMALL]
    assert case["difference"] < 1e-4
    assert set(case["ratios"]) >= {"time", "cpu_time", "memory"}
    for form in ("fast", "plain"):
        figures = case[form]
        assert len(figures["seconds"]) == measure.FEWEST
        assert figures["least_seconds"] == min(figures["seconds"])
        assert figures["memory_mb"] > 0
        rate = case["operations"] / figures["least_seconds"] / 1e9
        assert figures["gflops"] == pytest.approx(rate, abs=0.01)
        assert figures["share_of_rate"] == pytest.approx(
            rate / max(case["rates"].values()), rel=0.01, abs=1e-4
        )


@pytest.fixture
def options(tmp_path):
    return run.parse(["--out", str(tmp_path / "out.json"), "--threads", "1", "--memory", "8"])


def pretend(answers, asked):
    def call(what, *words):
        asked.append(what)
        return dict(answers[what])

    return call


TIMED = {
    "plain": {"seconds": [2.0, 4.0, 3.0], "cpu_seconds": [2.0, 2.0, 2.0], "least_seconds": 2.0},
    "fast": {"seconds": [1.0, 2.0, 6.0], "cpu_seconds": [1.0, 1.0, 1.0], "least_seconds": 1.0},
}


def answers(**changed):
    return {
        "rates": {"matrix_product": 4.0, "convolution": 8.0},
        "time": {form: dict(figures) for form, figures in TIMED.items()},
        "fast": {"memory_mb": 30.0},
        "plain": {"memory_mb": 60.0},
        **changed,
    }


def test_ratios_are_medians_over_pairs(options):
    case = Case("a/1", "parts", held(1), operations=2e9)
    found = run.measure(case, pretend(answers(), []), options)
    assert found["ratios"]["time"] == 0.5  # of 1/2, 2/4 and 6/3
    assert found["ratios"]["cpu_time"] == 0.5
    assert found["ratios"]["cpu_time_spread"] == 0
    assert found["ratios"]["memory"] == 0.5
    assert found["fast"]["gflops"] == 2.0
    assert found["fast"]["share_of_rate"] == 0.25  # of 8 GFLOP/s


def test_what_does_not_fit_is_left_out_and_said(options):
    asked = []
    both = Case("a/1", "parts", held(1), fast_gb=100.0)
    assert (
        "needs about 100.0 GB" in run.measure(both, pretend(answers(), asked), options)["left_out"]
    )
    assert asked == []
    plain = Case("a/1", "parts", held(1), plain_gb=100.0)
    timed = {"fast": dict(TIMED["fast"])}
    found = run.measure(plain, pretend(answers(time=timed), asked), options)
    assert "needs about 100.0 GB" in found["plain_left_out"]
    assert found["ratios"] == {}
    assert asked == ["rates", "time", "fast"]


def test_failures_of_a_case_stay_with_it(options):
    case = Case("a/1", "parts", held(1))
    failed = {"error": "status 1: out of memory"}
    found = run.measure(case, pretend(answers(plain=failed), []), options)
    assert found["error"] == "status 1: out of memory"
    call = run.Processes(run.parse(["--threads", "1", "--timeout", "0.01"]))
    assert "--timeout" in call("rates")["error"]
    call = run.Processes(run.parse(["--threads", "1", "--device", "nowhere"]))
    assert call("rates")["error"].startswith("status 1: ")


def test_runs_go_on_where_they_stopped(tmp_path):
    path = tmp_path / "out.json"
    facts = {"machine": {"cores": 2}, "versions": {}, "settings": {"threads": 1}}
    begun = results.begin(path, facts, False)
    assert begun["cases"] == {}
    begun["cases"]["a"] = {"ratios": {"time": 0.5}}
    results.save(path, begun)
    assert results.begin(path, facts, False)["cases"] == begun["cases"]
    assert results.begin(path, facts, True)["cases"] == {}
    other = {**facts, "settings": {"threads": 2}}
    with pytest.raises(ConfigError, match=r"settings.threads 1, this run has 2"):
        results.begin(path, other, False)


def test_cases_are_chosen_by_their_beginnings():
    known = all_cases()
    quick = run.chosen(run.parse([]))
    assert quick
    assert set(quick) == {name for name, case in known.items() if case.quick}
    assert list(run.chosen(run.parse(["--full"]))) == list(known)
    assert set(run.chosen(run.parse(["--full", "--only", "match/256/"]))) == {
        f"match/256/{grid}" for grid in (32, 64, 128, 256)
    }
    with pytest.raises(ConfigError, match="did you mean"):
        run.chosen(run.parse(["--only", "mach/256/32"]))
    with pytest.raises(ConfigError, match="--threads is 0"):
        run.parse(["--threads", "0"])


def test_series_reach_what_they_promise():
    places = {}
    for case in all_cases().values():
        if case.series:
            title, along, value = case.series
            places.setdefault((title, along), []).append(value)
    step = "training step, narrow model"
    assert places[step, "grid"] == [32, 64, 128, 256]
    assert places[step, "batch"][0::3] == [1, 8]
    assert (places[step, "classes"][0], places[step, "classes"][-1]) == (12, 151)
    for title in ("match of 256 values", "match of 2304 values", "contextual loss",
                  "marginal loss", "attention"):  # fmt: skip
        assert places[title, "grid"] == [32, 64, 128, 256]


def test_forms_take_turns_and_are_held_against_each_other():
    order, scale = [], {"now": 1.0}

    class Other(nullcontext):
        def __enter__(self):
            scale["now"] = 1.5

        def __exit__(self, *error):
            scale["now"] = 1.0

    def make(place):
        def work():
            order.append(scale["now"])
            return torch.tensor(scale["now"])

        return work

    case = Case("a/1", "parts", make, plainly=Other)
    found = measure.in_turns(case, Place(), measure.FORMS, budget=0.0)
    assert order == [1.5, 1.0, 1.5, 1.0, 1.0, 1.5, 1.5, 1.0]
    assert len(found["fast"]["seconds"]) == 3
    assert found["difference"] == pytest.approx(1 / 3)


def test_peaks_are_told_though_more_was_held_before():
    before = torch.ones(200 * MEGABYTE, dtype=torch.uint8)
    del before
    with peak_memory("cpu") as peak:
        now = torch.ones(64 * MEGABYTE, dtype=torch.uint8)
        del now
        if sys.platform == "linux":
            assert peak() == pytest.approx(64, abs=8)


def test_the_machine_tells_its_name_and_its_rates(monkeypatch):
    assert machine("cpu")["cores"] >= 1
    monkeypatch.setattr("benchmarks.machine.MATRIX", 64)
    monkeypatch.setattr("benchmarks.machine.SIDE", 8)
    monkeypatch.setattr("benchmarks.machine.CHANNELS", 16)
    found = rates("cpu", "float32")
    assert set(found) == {"matrix_product", "convolution"}
    assert all(rate > 0 for rate in found.values())
