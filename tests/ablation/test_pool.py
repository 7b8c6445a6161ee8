import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mcltoolkit.ablation import pool
from mcltoolkit.ablation.drive import drive
from mcltoolkit.ablation.pool import run_all, worker_environment
from mcltoolkit.ablation.results import state
from mcltoolkit.errors import ConfigError

STUB = Path(__file__).with_name("stub_worker.py")


@pytest.fixture(autouse=True)
def stubbed(monkeypatch):
    monkeypatch.setattr(pool, "WORKER", (sys.executable, str(STUB)))
    monkeypatch.setattr(pool, "POLL_SECONDS", 0.02)


@pytest.fixture
def small(content):
    """Two rows, two seeds, no groups."""
    content["groups"] = {}
    content["changes"] = {"full": {}, "w/o mcl": {"model.losses.mcl": None}}
    return content


def started(tmp_path):
    file = tmp_path / "work" / "started.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.rpartition(" ")[0] for line in lines]


def test_everything_is_run_once_and_then_never_again(small, planned, tmp_path, capsys):
    matrix, runs = planned(small)
    assert drive(matrix, runs, runs, tmp_path / "work", jobs=2) == 0
    assert sorted(started(tmp_path)) == sorted(run.title for run in runs)
    for name in ("table.md", "table.csv", "summary.csv", "table.png"):
        assert (tmp_path / "work" / name).stat().st_size > 0
    assert "hello from the worker" in runs[0].log_file.read_text()
    capsys.readouterr()
    assert drive(matrix, runs, runs, tmp_path / "work") == 0
    assert started(tmp_path) == []
    assert "4 of 4 runs are finished already" in capsys.readouterr().out


def test_a_second_call_in_the_same_folder_is_refused(small, planned, tmp_path):
    """Locked by another process, as a second call would find it."""
    matrix, runs = planned(small)
    (tmp_path / "work").mkdir()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire();"
            "print(1, flush=True); sys.stdin.read()",
            str(tmp_path / "work" / ".lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.read(1) == b"1"
        with pytest.raises(ConfigError, match=r"another tools/ablate.py is working in .*work"):
            drive(matrix, runs, runs, tmp_path / "work")
        assert started(tmp_path) == []
    finally:
        holder.communicate()
    assert drive(matrix, runs, runs, tmp_path / "work", jobs=2) == 0


def test_a_changed_matrix_runs_what_changed_and_says_why(small, planned, tmp_path, capsys):
    matrix, runs = planned(small)
    drive(matrix, runs, runs, tmp_path / "work")
    started(tmp_path)
    small["changes"]["w/o mcl"] = {"model.losses.mcl.weight": 0.5}
    small["seeds"] = [0, 3, 4]
    matrix, runs = planned(small)
    capsys.readouterr()
    assert drive(matrix, runs, runs, tmp_path / "work") == 0
    assert started(tmp_path) == [
        "w/o mcl, seed 0", "w/o mcl, seed 3", "full, seed 4", "w/o mcl, seed 4"
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert (
        "again   w/o mcl, seed 3: changed: model.losses.mcl: None -> MarginalContrastiveLoss("
        in said
    )
    assert "2 of 6 runs are finished already" in said


def test_failed_runs_are_told_and_the_others_go_on(small, planned, tmp_path, capsys):
    small["changes"] = {
        "bad": {"model.losses.mcl": None},
        "killed": {"model.losses.mcl.margin": 0},
        "full": {},
    }
    small["reference"] = "full"
    matrix, runs = planned(small)
    assert drive(matrix, runs, runs, tmp_path / "work", jobs=2) == 1
    assert len(started(tmp_path)) == 6
    kinds = {run.title: state(run).kind for run in runs}
    assert kinds == {
        "bad, seed 0": "failed", "killed, seed 0": "failed", "full, seed 0": "finished",
        "bad, seed 3": "failed", "killed, seed 3": "failed", "full, seed 3": "finished",
    }  # fmt: skip
    said = capsys.readouterr().out
    assert f"bad, seed 0: ConfigError: no such thing (log: {runs[0].log_file})" in said
    assert "killed, seed 3: the process was killed by signal 9" in said
    table = (tmp_path / "work/table.md").read_text()
    assert "| bad | 0 of 2, 2 failed |" in table
    assert "**bad, seed 3**: ConfigError: no such thing" in table
    assert drive(matrix, runs, runs, tmp_path / "work") == 1
    assert len(started(tmp_path)) == 4, "failed runs are tried again"


def test_an_unknown_metric_stops_after_the_first_run(small, planned, tmp_path):
    small["metrics"][0]["name"] = "scenes/label_acuracy"
    matrix, runs = planned(small)
    words = r"scenes/label_acuracy is not among .*did you mean 'scenes/label_accuracy'"
    with pytest.raises(ConfigError, match=words):
        drive(matrix, runs, runs, tmp_path / "work")
    assert started(tmp_path) == ["full, seed 0"]
    with pytest.raises(ConfigError, match=words):
        drive(matrix, runs, runs, tmp_path / "work")
    assert started(tmp_path) == [], "what is finished is looked at first"
    small["metrics"][0]["name"] = "scenes/label_accuracy"
    matrix, runs = planned(small)
    assert drive(matrix, runs, runs, tmp_path / "work") == 0
    assert len(started(tmp_path)) == 3, "the finished run counts"


def test_a_metric_of_a_later_row_s_own_config_is_waited_for(small, planned, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(f"_base_ = {small['base']!r}\nmodel = dict(losses=dict(cyc=None))\n")
    small["changes"]["own file"] = {"config": str(other)}
    small["metrics"][0]["name"] = "scenes/fid"
    matrix, runs = planned(small)
    assert drive(matrix, runs, runs, tmp_path / "work") == 0
    assert len(started(tmp_path)) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_no_worker_and_loses_no_result(
    small, planned, tmp_path, capsys, number
):
    small["changes"] = {"full": {}, "slow": {"model.losses.mcl": None}}
    matrix, runs = planned(small)

    def interrupt():
        file = tmp_path / "work/started.txt"
        while not (file.exists() and "slow" in file.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    assert drive(matrix, runs, runs, tmp_path / "work") == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert started(tmp_path) == ["full, seed 0", "slow, seed 0"]
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(runs[1].folder) not in left
    assert [state(run).kind for run in runs] == ["finished", "to do", "to do", "to do"]


def test_no_worker_at_all_is_an_error(small, planned, tmp_path):
    matrix, runs = planned(small)
    with pytest.raises(ConfigError, match="--jobs is 0"):
        drive(matrix, runs, runs, tmp_path / "work", jobs=0)


def test_cores_and_gpus_are_shared_out(small, planned, tmp_path, monkeypatch):
    assert worker_environment(0, 2, 8, [], {"A": "b"}) == {"OMP_NUM_THREADS": "4", "A": "b"}
    assert worker_environment(0, 3, 2, ["0"], {})["OMP_NUM_THREADS"] == "1"
    assert worker_environment(0, 2, 8, [], {"OMP_NUM_THREADS": "3"})["OMP_NUM_THREADS"] == "3"
    cards = [worker_environment(s, 3, 8, ["0", "5"], {})["CUDA_VISIBLE_DEVICES"] for s in range(3)]
    assert cards == ["0", "5", "0"]
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(1, 2, 8, ["0"], {})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(pool, "cores", lambda: 6)
    _, runs = planned(small)
    run_all(runs[:1], jobs=2)
    assert (tmp_path / "work/started.txt").read_text() == "full, seed 0 3\n"
