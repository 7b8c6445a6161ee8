import sys

import pytest
import torch

from mcltoolkit import memory


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives back on demand")
def test_only_a_cpus_memory_is_given_back(monkeypatch):
    calls = []
    monkeypatch.setattr(memory, "_malloc_trim", calls.append)
    monkeypatch.setattr(memory, "_mallinfo", None)
    memory.give_back(torch.device("cuda"))
    assert not calls
    memory.give_back(torch.device("cpu"))
    assert calls == [0], "all of it, without a reserve"


def test_where_the_library_cannot_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", None)
    memory.give_back(torch.device("cpu"))


@pytest.mark.skipif(memory._mallinfo is None, reason="glibc 2.33 and later count it")
def test_little_is_kept(monkeypatch):
    calls = []
    monkeypatch.setattr(memory, "_malloc_trim", calls.append)
    monkeypatch.setattr(memory, "WORTH", memory._mallinfo().fordblks + 2**30)
    memory.give_back(torch.device("cpu"))
    assert not calls
    monkeypatch.setattr(memory, "WORTH", 0)
    memory.give_back(torch.device("cpu"))
    assert calls == [0]
