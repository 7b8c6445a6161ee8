import json
import signal

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from mcltoolkit.launcher.ending import LOST_CONTACT
from mcltoolkit.launcher.report import failure_report


@pytest.fixture
def failed(tmp_path):
    """Makes the failure of a rank, with what it recorded."""

    def make(status, rank=0, at=100, message=None, traceback=""):
        file = tmp_path / f"{rank}.json"
        if message is not None:
            extra = {"py_callstack": traceback, "timestamp": str(at)}
            file.write_text(json.dumps({"message": {"message": message, "extraInfo": extra}}))
        failure = ProcessFailure(rank, 1000 + rank, status, str(file))
        failure.timestamp = at
        return failure

    return make


def test_a_killed_rank_is_the_cause_and_the_memory_is_named(failed):
    lost, ended = failed(LOST_CONTACT, 0, at=50), failed(-signal.SIGTERM, 2, at=40)
    text, status = failure_report({0: lost, 2: ended, 1: failed(-signal.SIGKILL, 1)})
    first, second = text.splitlines()
    assert first.startswith("rank 1 (process 1001 on ")
    assert "was killed by SIGKILL: most often the memory ran out" in first
    assert second == "ranks 0, 2 of this node were ended with it"
    assert status == 128 + 9


def test_an_exception_is_told_before_its_traceback(failed):
    failure = failed(1, 3, message="ValueError: boom", traceback="Traceback\n  at x\n")
    text, status = failure_report({3: failure})
    assert text.splitlines()[0].endswith("failed: ValueError: boom")
    assert text.endswith("\nTraceback\n  at x")
    assert status == 1


def test_of_two_causes_the_first_counts(failed):
    failures = {r: failed(1, r, at=9 - r, message=f"E: {r}") for r in range(3)}
    assert "failed: E: 2" in failure_report(failures)[0].splitlines()[0]


def test_a_users_mistake_is_told_alone(failed):
    failure = failed(2, 0, message="DataError: a.png is truncated", traceback="Traceback")
    text, status = failure_report({0: failure, 1: failed(-signal.SIGTERM, 1)})
    assert text.splitlines()[0] == "DataError: a.png is truncated"
    assert "Traceback" not in text
    assert status == 2


@pytest.mark.parametrize(("nodes", "place"), [(1, "above"), (2, "on the other nodes")])
def test_where_only_contact_was_lost_the_cause_is_elsewhere(failed, nodes, place):
    text, status = failure_report({0: failed(LOST_CONTACT)}, nodes)
    assert text.endswith(f"lost contact with the other ranks: look for the first error {place}")
    assert status == LOST_CONTACT


def test_a_rank_that_recorded_nothing(failed):
    assert "ended with status 7; its lines above" in failure_report({0: failed(7)})[0]
