import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.errors import DataError
from mcltoolkit.web import limits
from mcltoolkit.web.limits import read_label_map, read_maps, read_photo


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(256, size=(12, 20, 3), dtype=np.uint8)


def test_photos_are_read_as_they_look(photo, tmp_path):
    for name, mode, wanted in [
        ("a.png", "RGB", photo),
        ("b.bmp", "RGB", photo),
        ("c.png", "RGBA", photo),
        ("d.png", "L", np.array(Image.fromarray(photo).convert("L").convert("RGB"))),
    ]:
        Image.fromarray(photo).convert(mode).save(tmp_path / name)
        np.testing.assert_array_equal(read_photo(tmp_path / name), wanted)
    sideways = Image.fromarray(photo)
    exif = sideways.getexif()
    exif[0x0112] = 6  # the camera was held upright
    sideways.save(tmp_path / "phone.jpg", exif=exif)
    assert read_photo(tmp_path / "phone.jpg").shape == (20, 12, 3)


def claims(width, height):
    """A PNG of a few bytes that claims a size."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encoded(image, kind):
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


CASES = {
    "too many bytes": (bytes(limits.MOST_BYTES + 1), r"has 16 MB, allowed are 16 MB|has 16\.0"),
    "too many pixels": (claims(5001, 5000), "5001 x 5000 pixels, allowed are 25 million"),
    "a bomb": (claims(100_000, 100_000), "pixels, allowed are 25 million"),
    "no picture": (
        b"hello",
        "cannot be read as a picture; allowed are whole files of the kinds PNG",
    ),
    "broken": (claims(100, 100), "cannot be read as a picture"),
    "another kind": (encoded(Image.new("RGB", (9, 9)), "GIF"), "cannot be read as a picture"),
    "no photo's colours": (encoded(Image.new("CMYK", (9, 9)), "JPEG"), "has the mode 'CMYK'"),
    "transparent": (encoded(Image.new("RGBA", (9, 9), (1, 2, 3, 4)), "PNG"), "transparent pixels"),
    "16 bits": (encoded(Image.fromarray(np.ones((9, 9), np.uint16)), "PNG"), "has the mode 'I;16'"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_photo_is_explained(case, tmp_path):
    content, told = CASES[case]
    file = tmp_path / "mine.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=told) as caught:
        read_photo(file)
    assert "photo mine.png" in str(caught.value)
    assert str(tmp_path) not in str(caught.value), "the server's folders are nobody's business"


def test_label_maps_are_numbers_or_colours(plain_model, tmp_path):
    labels = np.random.default_rng(0).integers(6, size=(10, 14)).astype(np.uint8)
    colours = np.array(plain_model.palette, np.uint8)[labels]
    images = {
        "numbers": Image.fromarray(labels),
        "colours": Image.fromarray(colours),
        "opaque": Image.fromarray(colours).convert("RGBA"),
        "sixteen": Image.fromarray(labels.astype(np.uint16)),
    }
    for name, image in images.items():
        image.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_label_map(tmp_path / f"{name}.png", plain_model), labels)
    Image.fromarray(labels + 1).save(tmp_path / "more.png")
    with pytest.raises(DataError, match=r"label map more\.png: value 6 found, allowed are 0\.\.5"):
        read_label_map(tmp_path / "more.png", plain_model)


def test_maps_are_checked_before_they_are_loaded(maps_model, tmp_path, monkeypatch):
    maps = np.random.default_rng(0).random((4, 16, 24), np.float32)
    np.save(tmp_path / "maps.npy", maps)
    np.testing.assert_array_equal(read_maps(tmp_path / "maps.npy", maps_model), maps)
    np.save(tmp_path / "other.npy", maps[:3])
    with pytest.raises(DataError, match=r"condition other\.npy: an array of float32 \(3, 16, 24\)"):
        read_maps(tmp_path / "other.npy", maps_model)
    whole = (tmp_path / "maps.npy").read_bytes()
    (tmp_path / "liar.npy").write_bytes(whole.replace(b"(4, 16, 24)", b"(4,9999,9999)"[:11]))
    (tmp_path / "text.npy").write_bytes(b"text")
    (tmp_path / "short.npy").write_bytes(whole[:-1])
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    for name in ("liar", "text", "short", "objects"):
        with pytest.raises(DataError, match=rf"condition {name}\.npy cannot be read as an array"):
            read_maps(tmp_path / f"{name}.npy", maps_model)
    monkeypatch.setattr(limits, "MOST_PIXELS", 16 * 24 - 1)
    with pytest.raises(DataError, match="24 x 16 pixels, allowed are"):
        read_maps(tmp_path / "maps.npy", maps_model)


@pytest.mark.parametrize("mode", ["1", "P", "L", "RGB"])
def test_a_colour_named_as_transparent_counts_where_it_is(photo, mode, plain_model, tmp_path):
    image = Image.fromarray(photo // 2).convert(mode)
    used = image.getpixel((3, 5))
    image.save(tmp_path / "holes.png", transparency=used)
    with pytest.raises(DataError, match=r"photo holes\.png has transparent pixels"):
        read_photo(tmp_path / "holes.png")
    unused = {"1": None, "P": 255, "L": 255, "RGB": (255, 255, 255)}[mode]
    if unused is not None:
        image.save(tmp_path / "whole.png", transparency=unused)
        wanted = np.array(image.convert("RGB"))
        np.testing.assert_array_equal(read_photo(tmp_path / "whole.png"), wanted)


def test_class_numbers_count_though_transparent_and_colours_do_not(plain_model, tmp_path):
    labels = np.random.default_rng(0).integers(6, size=(10, 14)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "numbers.png", transparency=0)
    np.testing.assert_array_equal(read_label_map(tmp_path / "numbers.png", plain_model), labels)
    colours = np.array(plain_model.palette, np.uint8)
    clear = tuple(int(v) for v in colours[labels[0, 0]])
    Image.fromarray(colours[labels]).save(tmp_path / "colours.png", transparency=clear)
    with pytest.raises(DataError, match=r"label map colours\.png has transparent pixels"):
        read_label_map(tmp_path / "colours.png", plain_model)


def test_a_large_painted_map_is_made_smaller_before_its_colours_are_read(
    plain_model, tmp_path, monkeypatch
):
    sizes = []
    snap = limits.snap_colours

    def noted(picture, *given):
        sizes.append(picture.shape[:2])
        return snap(picture, *given)

    monkeypatch.setattr(limits, "snap_colours", noted)
    palette = np.array(plain_model.palette, np.uint8)
    labels = np.random.default_rng(0).integers(6, size=(60, 80)).astype(np.uint8)
    for factor in (1, 20):
        large = labels.repeat(factor, 0).repeat(factor, 1)
        Image.fromarray(palette[large]).save(tmp_path / "large.png")
        read = read_label_map(tmp_path / "large.png", plain_model)
        rows, columns = (
            ((np.arange(n) + 0.5) * s / n).astype(int)
            for n, s in zip(read.shape, large.shape, strict=True)
        )
        assert abs(read.size - limits.PAINTED * 32 * 32) < 0.05 * read.size
        assert read.shape[1] / read.shape[0] == pytest.approx(80 / 60, abs=0.03)
        same = read == large[np.ix_(rows, columns)]
        assert same.mean() > 0.9, "but for places half way between two pixels"
        assert sizes[-1] == read.shape
    Image.fromarray(palette[labels[:40, :40]]).save(tmp_path / "small.png")
    np.testing.assert_array_equal(
        read_label_map(tmp_path / "small.png", plain_model), labels[:40, :40]
    )
    painted = palette[np.zeros((640, 640), int)]
    painted[600:, :40] = 255
    Image.fromarray(painted).save(tmp_path / "odd.png")
    with pytest.raises(DataError, match="near no class") as caught:
        read_label_map(tmp_path / "odd.png", plain_model)
    x, y = map(int, re.findall(r"at x (\d+), y (\d+)", str(caught.value))[0])
    assert 0 <= x < 40
    assert 600 <= y < 640, "a place of the file"
