"""Shards and their index, spoiled."""

import io
import json
import tarfile

import pytest
from PIL import Image

from mcltoolkit.data import TarShards
from mcltoolkit.data.shards import index_shards, make_index


@pytest.fixture
def shards(tmp_path):
    """One shard of three samples and its index."""
    with tarfile.open(tmp_path / "training-00000.tar", "w") as tar:
        for key in "abc":
            about = json.dumps({"name": key, "exemplars": ["a"]}).encode()
            files = {"json": about}
            for prefix in ("", "0."):
                for ending, mode, kind in (("jpg", "RGB", "JPEG"), ("png", "L", "PNG")):
                    stream = io.BytesIO()
                    Image.new(mode, (8, 8)).save(stream, kind)
                    files[prefix + ending] = stream.getvalue()
            for ending, content in files.items():
                entry = tarfile.TarInfo(f"{key}.{ending}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    make_index(tmp_path, "training", ("one", "two"))
    return tmp_path


def read_all(folder):
    data = TarShards(folder)
    for index in range(len(data)):
        data[index]


def test_indices(shards, judge, cases, spoiled_text, spoiled_bytes):
    path = shards / "training.json"
    text = path.read_text()
    for case, rng in cases(500, "indices"):
        spoiled = (
            spoiled_text(text, rng) if rng.random() < 0.5 else (spoiled_bytes(text.encode(), rng))
        )
        path.write_bytes(spoiled)
        judge(case, lambda: read_all(shards), shards, "num_classes", "classes")
    judge.done(at_least=250)


VALUES = (None, -1, 0, 2**70, "x", [], {}, [1], 1.5, True, [[1, 2]], {"a": 1}, [None, None, None])


def test_indices_of_other_contents(shards, judge, cases):
    path = shards / "training.json"
    whole = json.loads(path.read_text())
    for case, rng in cases(400, "contents"):
        content = json.loads(json.dumps(whole))
        node, key = content, rng.choice(list(content))
        while isinstance(node[key], dict | list) and node[key] and rng.random() < 0.8:
            node = node[key]
            key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        node[key] = rng.choice(VALUES)
        path.write_text(json.dumps(content))
        judge(case, lambda: read_all(shards), shards, "num_classes", "classes")
    judge.done(at_least=250)


def test_tars(shards, judge, cases, spoiled_bytes):
    """Both ways: read by the index that is there, and given a new one."""
    path = shards / "training-00000.tar"
    content = path.read_bytes()
    for case, rng in cases(300, "tars"):
        path.write_bytes(spoiled_bytes(content, rng))
        judge(case, lambda: read_all(shards), path)
        judge(case, lambda: index_shards([path]), path)
    judge.done(at_least=150)
