from __future__ import annotations

import os
import signal

import pytest
from rich.console import Console

from mcltoolkit.data.doctor import examine, plan_of_folder
from mcltoolkit.data.doctor.survey import spread
from mcltoolkit.errors import DataError


def test_several_processes_find_what_one_finds(clean_set):
    (clean_set / "images" / "training" / "c.jpg").write_bytes(b"no picture")
    (clean_set / "annotations" / "test" / "y.png").unlink()
    quiet = Console(file=open(os.devnull, "w"))  # noqa: SIM115
    one = examine(plan_of_folder(clean_set), size=(64, None))[0].to_dict()
    two = examine(plan_of_folder(clean_set), size=(64, None), workers=2, console=quiet)[0].to_dict()
    assert one == two
    assert [f["code"] for f in one["findings"]] == ["image-without-label", "unreadable-image"]


def square(number):
    return number * number


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order():
    assert spread(square, list(range(100)), "numbers", 2, None) == [n * n for n in range(100)]


def test_a_killed_process_is_an_error_and_no_endless_wait():
    with pytest.raises(DataError, match=r"that read numbers was killed .*--workers 0"):
        spread(die, list(range(4)), "numbers", 2, None)
