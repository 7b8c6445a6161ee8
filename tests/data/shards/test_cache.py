import os
import threading
import time

import pytest

from mcltoolkit.data.shards import ShardCache
from mcltoolkit.errors import ConfigError, DataError


def test_the_shards_unused_for_longest_make_room(tmp_path):
    cache, fetched = ShardCache(tmp_path, 300e-9), []

    def get(name):
        path = cache.get(name, 100, lambda: fetched.append(name) or name.encode() * 100)
        assert path.read_bytes() == name.encode() * 100
        for age, held in enumerate(sorted(tmp_path.glob("*.shard"), key=os.path.getmtime)):
            os.utime(held, (1000 + age, 1000 + age))  # clocks of files may be coarse

    for name in "abcabdac":
        get(name)
    # d takes the place of c, which was used least lately; then c that of b
    assert "".join(fetched) == "abcdc"
    assert sum(file.stat().st_size for file in tmp_path.glob("*.shard")) == 300


def test_only_one_of_many_fetches(tmp_path):
    fetched = []

    def fetch():
        fetched.append(1)
        time.sleep(0.1)
        return b"x" * 10

    def run():
        assert ShardCache(tmp_path, 1).get("u", 10, fetch).read_bytes() == b"x" * 10

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1


def test_a_copy_of_another_size_is_fetched_again(tmp_path):
    cache = ShardCache(tmp_path, 1)
    path = cache.get("u", 4, lambda: b"abcd")
    path.write_bytes(b"ab")
    assert cache.get("u", 4, lambda: b"abcd").read_bytes() == b"abcd"
    with pytest.raises(DataError, match="shard v has 2 bytes, its index says 4"):
        cache.get("v", 4, lambda: b"ab")


@pytest.mark.parametrize("size", [0, -1, "x", None, float("nan")])
def test_sizes_that_cannot_be(tmp_path, size):
    with pytest.raises(ConfigError, match="cache_size is"):
        ShardCache(tmp_path, size)


def test_a_place_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cache_dir .*file/c cannot be made"):
        ShardCache(tmp_path / "file" / "c")
