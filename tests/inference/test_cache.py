import sys
import threading
import time

import pytest

from mcltoolkit.inference import ExemplarCache


def test_the_last_ones_are_kept():
    cache = ExemplarCache(2)
    made = []

    def ask(key):
        return cache.get(key, lambda: made.append(key) or key.upper())

    for key in "abacab":
        assert ask(key) == key.upper()
    assert made == ["a", "b", "c", "b"]
    assert len(cache) == 2
    cache.clear()
    ask("a")
    assert made[-1] == "a"
    cache.limit = 0
    assert (ask("d"), ask("d"), len(made)) == ("D", "D", 7)


def test_what_nobody_asked_for_is_forgotten(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    cache = ExemplarCache()
    cache.get("old", object)
    cache.get("used", object)
    now[0] += 50
    kept = cache.get("used", object)
    now[0] += 20
    cache.forget(60)
    assert len(cache) == 1
    assert cache.get("used", object) is kept


@pytest.mark.parametrize("limit", [1, 16])
def test_threads_get_what_they_asked_for(limit):
    cache = ExemplarCache(limit)
    wrong = []

    def work(number):
        try:
            for k in range(2000):
                key = f"{number}-{k % (limit + 2)}"
                if cache.get(key, lambda key=key: key) != key:
                    wrong.append(key)
        except Exception as error:
            wrong.append(repr(error))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
    assert len(cache) == limit
