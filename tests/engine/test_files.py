import random
import zipfile

import pytest
import torch

from mcltoolkit.engine.files import check_whole, load_plain, save_whole
from mcltoolkit.errors import ConfigError, WeightsError

CONTENT = {"weight": torch.arange(6.0).reshape(2, 3), "step": 3, "names": ("a", None)}


@pytest.fixture
def sealed(tmp_path):
    return save_whole(CONTENT, tmp_path / "iter_3.pth")


def same(found):
    return found.keys() == CONTENT.keys() and torch.equal(found["weight"], CONTENT["weight"])


def test_a_sealed_file_is_an_ordinary_one_of_torch(sealed):
    assert check_whole(sealed) is True
    assert same(load_plain(sealed))
    assert same(torch.load(sealed, weights_only=True))
    assert same(torch.load(sealed, weights_only=True, mmap=True))
    assert zipfile.ZipFile(sealed).comment.startswith(b"mcltoolkit sha256 ")


def test_every_flipped_bit_and_every_cut_is_noticed(sealed, tmp_path):
    whole = sealed.read_bytes()
    bits = random.Random(0)
    spoilt = [whole[:size] for size in (0, 1, 4, 100, len(whole) // 2, len(whole) - 1)]
    for _ in range(400):
        flipped = bytearray(whole)
        flipped[bits.randrange(len(whole))] ^= 1 << bits.randrange(8)
        spoilt.append(bytes(flipped))
    for content in spoilt:
        (tmp_path / "spoilt.pth").write_bytes(content)
        with pytest.raises(WeightsError, match="spoilt.pth"):
            load_plain(tmp_path / "spoilt.pth")


def test_a_file_without_seal_is_checked_by_its_archive(tmp_path):
    torch.save(CONTENT, tmp_path / "foreign.pth")
    assert check_whole(tmp_path / "foreign.pth") is False
    whole = bytearray((tmp_path / "foreign.pth").read_bytes())
    place = whole.index(CONTENT["weight"].numpy().tobytes())
    whole[place + 5] ^= 1
    (tmp_path / "foreign.pth").write_bytes(whole)
    with pytest.raises(WeightsError, match="damaged: its member .*data/0 has another checksum"):
        check_whole(tmp_path / "foreign.pth")


def test_torch_s_older_format_is_read(tmp_path):
    torch.save(CONTENT, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert check_whole(tmp_path / "old.pth") is False
    assert same(load_plain(tmp_path / "old.pth"))


def test_no_place_to_write(tmp_path, sealed):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write .*file/x.pth"):
        save_whole(CONTENT, tmp_path / "file" / "x.pth")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "iter_3.pth"]
