import json
import tarfile

import pytest

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.data.shards import ShardIndex, make_index, make_shards
from mcltoolkit.errors import ConfigError, DataError


def test_the_layout_is_webdatasets(shards, folder):
    """Files of one sample follow each other and share the name up to the first dot."""
    tars = sorted(shards.glob("*.tar"))
    assert len(tars) > 1
    assert [path.name for path in tars] == [f"training-{n:05d}.tar" for n in range(len(tars))]
    seen = {}
    for path in tars:
        with tarfile.open(path) as tar:
            for entry in tar:
                head, _, base = entry.name.rpartition("/")
                key, _, ending = base.partition(".")
                seen.setdefault((head, key), []).append(ending)
                if (key, ending) == ("a_b", "0.jpg"):
                    packed = tar.extractfile(entry).read()
                    assert packed == (folder / "images" / "training" / "c.jpg").read_bytes()
    assert list(seen) == [("", "a_b"), ("", "c"), ("", "d"), ("", "f"), ("sub", "e")]
    assert seen["", "c"] == ["json", "jpg", "png", "0.jpg", "0.png"]
    assert seen["", "f"] == ["json", "image.png", "png", "0.jpg", "0.png"]


def test_first_and_last_exemplar_are_packed(shards):
    index = ShardIndex.parse((shards / "training.json").read_bytes(), "x")
    assert index.samples[0].name == "a.b"
    assert index.samples[0].exemplars == ("c", "sub/e")  # of three


@pytest.mark.parametrize(("count", "packed"), [(0, ()), (1, ("c",)), (9, ("c", "d", "sub/e"))])
def test_how_many_exemplars(plain, tmp_path, count, packed):
    assert make_shards(plain, tmp_path / "o", "t", exemplars=count).samples[0].exemplars == packed


def test_the_index_made_anew_is_the_same(shards):
    before = json.loads((shards / "training.json").read_text())
    (shards / "training.json").unlink()
    make_index(shards, "training", tuple(before["classes"]))
    assert json.loads((shards / "training.json").read_text()) == before


def test_what_is_there_stays(shards, plain):
    before = {path: path.read_bytes() for path in shards.iterdir()}
    with pytest.raises(ConfigError, match=r"training-00000.tar.*nothing was written"):
        make_shards(plain, shards, "training")
    assert {path: path.read_bytes() for path in shards.iterdir()} == before


def test_a_file_that_is_missing_leaves_nothing_behind(plain, folder, tmp_path):
    (folder / "images" / "training" / "f.png").unlink()
    with pytest.raises(DataError, match="f.png"):
        make_shards(plain, tmp_path / "out", "training", shard_size=0.02)
    assert not list((tmp_path / "out").iterdir())


def test_only_images_with_label_maps(tmp_path):
    with pytest.raises(ConfigError, match="SyntheticScenes cannot be put into shards"):
        make_shards(SyntheticScenes(length=2), tmp_path, "training")


def test_a_broken_tar_is_named(shards):
    path = shards / "training-00001.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="training-00001.tar cannot be read"):
        make_index(shards, "training")
    with pytest.raises(DataError, match="no other-"):
        make_index(shards, "other")
