import pickle
from dataclasses import fields

import pytest
import torch
from mmengine.fileio import LocalBackend, register_backend

from mcltoolkit.data import Draw, TarShards
from mcltoolkit.engine.data_loader import build_loader
from mcltoolkit.errors import ConfigError, DataError
from tests.data.shards.conftest import GEOMETRY


def same(ours, theirs):
    for field in fields(theirs):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        assert torch.equal(a, b) if torch.is_tensor(b) else a == b, field.name


@pytest.mark.parametrize("choice", ["recipe", "first", "self"])
def test_samples_equal_those_of_the_folder_bit_for_bit(plain, shards, choice):
    packed = TarShards(shards, geometry=GEOMETRY, exemplar_choice=choice)
    plain.choice = packed.choice
    assert len(packed) == len(plain)
    assert packed.metainfo == plain.metainfo
    exemplars = set()
    for index in range(len(plain)):
        same(packed[index], plain[index])
        for number in range(12):
            same(packed[Draw(index, number)], plain[Draw(index, number)])
            exemplars.add(packed[Draw(index, number)].exemplar_name)
    assert len(exemplars) >= (4 if choice == "recipe" else 3)


def test_it_travels_to_workers(plain, shards):
    packed = pickle.loads(pickle.dumps(TarShards(shards, geometry=GEOMETRY)))
    same(packed[Draw(2, 5)], plain[Draw(2, 5)])


def test_over_http_each_shard_is_fetched_once_whatever_the_workers(plain, shards, serve, tmp_path):
    url, asked = serve(shards)
    packed = dict(
        type="TarShards", data_root=url, geometry=GEOMETRY, cache_dir=str(tmp_path / "cache")
    )
    loader = build_loader(
        dict(dataset=packed, batch_size=1, num_workers=2, sampler=dict(type="ShardSampler"))
    )
    names = [name for _ in range(2) for batch in loader for name in batch.names]
    assert sorted(names) == sorted(2 * ["a.b", "c", "d", "f", "sub/e"])
    tars = [path for path in asked if path.endswith(".tar")]
    assert len(tars) == len(set(tars)) == len(list(shards.glob("*.tar")))
    same(loader.dataset[Draw(3, 1)], plain[Draw(3, 1)])


def test_any_backend_of_mmengine_serves(plain, shards, tmp_path):
    class Elsewhere(LocalBackend):
        def __init__(self, root=""):
            self.root = root

        def get(self, filepath):
            return super().get(str(filepath).replace("elsewhere://data", self.root))

    register_backend("elsewhere", Elsewhere, force=True, prefixes="elsewhere")
    settings = dict(geometry=GEOMETRY, cache_dir=str(tmp_path / "c"), attempts=1)
    packed = TarShards("elsewhere://data", backend_args=dict(root=str(shards)), **settings)
    same(packed[1], plain[1])
    with pytest.raises(DataError, match=r"elsewhere:.*attempts.*backend_args={'root': '/nowhere'}"):
        TarShards("elsewhere://data", backend_args=dict(root="/nowhere"), **settings)
    with pytest.raises(DataError, match=r"no file backend for nosuch://x.*prefix"):
        TarShards("nosuch://x", **settings)


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(
        DataError, match=r"http://127.0.0.1:9/training.json cannot be read.*data_root"
    ):
        TarShards("http://127.0.0.1:9", cache_dir=str(tmp_path), attempts=1)


def spoil(path, change):
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def test_a_damaged_member_is_named_and_may_be_skipped(shards):
    packed = TarShards(shards, geometry=GEOMETRY, exemplar_choice="self")
    place = packed.records[1].condition.image
    path = shards / f"training-{place.shard:05d}.tar"
    spoil(path, lambda content: content.__setitem__(place.offset + place.size // 2, 0x5A))
    with pytest.raises(DataError, match=rf"{path.name}::c.jpg is damaged.*--index"):
        packed[1]
    loader = build_loader(
        dict(dataset=packed, batch_size=1, sampler=dict(type="SeededSampler"), on_error="skip")
    )
    assert len([name for batch in loader for name in batch.names if name != "c"]) == 5
    assert "c.jpg is damaged" in loader.skipped[1].reason
    assert f"{path.name}::c.jpg" in loader.skipped[1].sample


def test_truncated_and_missing_shards_are_named(shards):
    packed = TarShards(shards, geometry=GEOMETRY, exemplar_choice="self")
    last = packed.records[4].condition.image
    path = shards / f"training-{last.shard:05d}.tar"
    path.write_bytes(path.read_bytes()[: last.offset + 5])
    with pytest.raises(DataError, match=rf"{path.name}::sub/e.jpg is truncated: 5 bytes"):
        packed[4]
    path.unlink()
    with pytest.raises(DataError, match=rf"{path.name} does not exist.*data_root"):
        packed[4]


def test_a_shard_that_changed_on_the_server(shards, serve, tmp_path):
    url, _ = serve(shards)
    packed = TarShards(url, cache_dir=str(tmp_path / "c"), exemplar_choice="self")
    path = shards / "training-00000.tar"
    path.write_bytes(path.read_bytes() + bytes(512))
    with pytest.raises(DataError, match=r"training-00000.tar has \d+ bytes, its index says"):
        packed[0]


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        (dict(split="no"), DataError, "no.json cannot be read"),
        (dict(num_classes=3), ConfigError, "classes has 4 entries"),
        (dict(max_samples=0), ConfigError, "max_samples is 0"),
    ],
)
def test_settings_that_cannot_be_used(shards, settings, kind, message):
    with pytest.raises(kind, match=message):
        TarShards(shards, **settings)


def test_a_cache_smaller_than_a_shard(shards, serve, tmp_path):
    url, _ = serve(shards)
    with pytest.raises(ConfigError, match="cache_size is 1e-05 GB, the largest shard"):
        TarShards(url, cache_dir=str(tmp_path / "c"), cache_size=1e-5)
