import json
import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from mcltoolkit.errors import ConfigError
from mcltoolkit.launcher.ending import (
    FOLDER,
    announce_rank,
    end_with,
    lost_contact,
    rank_processes,
)
from mcltoolkit.testing.ranks import ranks

GLOO = "[pair.cc:534] Connection closed by peer [127.0.0.1]:41"


def test_ranks_announce_themselves_to_the_launcher_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.delenv(FOLDER, raising=False)
    announce_rank()
    assert rank_processes(tmp_path) == []
    monkeypatch.setenv(FOLDER, str(tmp_path))
    announce_rank()
    (tmp_path / "2").touch()  # just being written
    assert rank_processes(tmp_path) == [os.getpid()]


def test_under_the_launcher_the_error_is_recorded_not_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    with pytest.raises(SystemExit) as ended:
        end_with(ConfigError("no such setting"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == ""
    recorded = json.loads((tmp_path / "error.json").read_text())
    assert recorded["message"]["message"] == "ConfigError: no such setting"


def test_what_says_that_a_rank_is_gone():
    wrapped = ConfigError("step 3 failed")
    wrapped.__cause__ = RuntimeError(GLOO)
    assert lost_contact(RuntimeError(GLOO))
    assert lost_contact(wrapped)
    assert not lost_contact(RuntimeError("shapes differ"))
    assert not lost_contact(ValueError(GLOO))


def contact_with_a_rank_that_has_left():
    """What the last rank meets in a group of its own with one that has left it."""
    group = dist.new_group(timeout=timedelta(seconds=60))
    answer = False, "no error"
    if dist.get_rank() == 1:
        try:
            dist.all_reduce(torch.ones(1), group=group)
        except Exception as error:
            answer = lost_contact(error), str(error)
    dist.destroy_process_group(group)
    return answer


def test_gloos_own_words_are_known():
    answer = ranks().run(contact_with_a_rank_that_has_left)[1]
    assert answer[0], answer[1]
