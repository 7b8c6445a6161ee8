"""Image, label and mask files of every kind and fault."""

import io
import resource
import zlib

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import read_image, read_labels
from mcltoolkit.data.images import read_region
from mcltoolkit.errors import DataError
from mcltoolkit.inference.inputs import read_condition
from mcltoolkit.inference.settings import ConditionForm

MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA", "PA", "I;16")
FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "ICO", "TGA")
SIZES = ((12, 10), (1, 1), (900, 1), (1, 700))
READERS = {
    "image": read_image,
    "labels": lambda path: read_labels(path, 5),
    "many labels": lambda path: read_labels(path, 70000, {255: 0, 65535: 3}),
    "region": read_region,
    "condition": lambda path: read_condition(path, ConditionForm(5, "labels", {255: 0})),
}
MAPS = ConditionForm(5, "maps")


def originals():
    """Files of every mode and format that PIL writes, by a name."""
    rng = np.random.default_rng(0)
    found = {}
    for size in SIZES:
        colours = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        for mode in MODES:
            for kind in FORMATS:
                stream = io.BytesIO()
                try:
                    picture = (
                        colours.convert("L").convert(mode)
                        if mode == "I;16"
                        else (colours.convert("RGBA" if mode == "PA" else "RGB").convert(mode))
                    )
                    picture.save(stream, kind)
                except (OSError, ValueError, KeyError):
                    continue
                found[f"{mode} {size} .{kind.lower()}"] = stream.getvalue()
    small = Image.fromarray(rng.integers(0, 5, (10, 12), dtype=np.uint8))
    for depth in (np.uint8, np.uint16, np.int32):
        stream = io.BytesIO()
        Image.fromarray(np.array(small).astype(depth)).save(stream, "TIFF")
        found[f"{np.dtype(depth)} .tiff"] = stream.getvalue()
    stream = io.BytesIO()
    small.save(stream, "PNG")
    found["labels .png"] = stream.getvalue()
    return found


@pytest.fixture(scope="module")
def written():
    return originals()


def test_files_that_are_spoiled(written, tmp_path, judge, cases, spoiled_bytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    names = list(written)
    for case, rng in cases(4000, "pictures"):
        name = rng.choice(names)
        content = written[name]
        if rng.random() < 0.9:
            content = spoiled_bytes(content, rng)
        suffix = name.split(".")[-1] if rng.random() < 0.8 else rng.choice(("png", "txt", "npz"))
        path = tmp_path / f"spoiled.{suffix}"
        path.write_bytes(content)
        kind = rng.choice(list(READERS))
        judge(f"{case} {name} {kind}", lambda p=path, k=kind: READERS[k](p), path)
    judge.done(at_least=500 if not judge.crashes else 0)
    assert judge.worked > 100
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2_000_000, f"{grown} kB"


def test_pictures_that_claim_to_be_huge(tmp_path, judge):
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for side in (9500, 13000, 40000):
        content = bytearray(stream.getvalue())
        content[16:24] = side.to_bytes(4, "big") * 2
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")  # else it is no PNG
        path = tmp_path / f"{side}.png"
        path.write_bytes(content)
        for kind, read in READERS.items():
            judge(f"{side} {kind}", lambda p=path, r=read: r(p), path)
        with pytest.raises(DataError, match="pixels allowed"):
            read_image(path)
    judge.done(at_least=3 * len(READERS))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_what_is_no_file(tmp_path, judge):
    folder, loop, dangling = tmp_path / "folder.png", tmp_path / "loop.png", tmp_path / "to.png"
    folder.mkdir()
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "nowhere.png")
    places = [folder, loop, dangling, tmp_path / ("x" * 400), tmp_path / "a\x00b.png", "", "."]
    for path in places:
        for kind, read in READERS.items():
            judge(f"{path!r} {kind}", lambda p=path, r=read: r(p), path)
    judge.done(at_least=len(places) * len(READERS))


def test_arrays_that_are_spoiled(tmp_path, judge, cases, spoiled_bytes):
    contents = []
    rng = np.random.default_rng(0)
    for array in (rng.random((5, 8, 8), dtype=np.float32), rng.integers(0, 2, (5, 4, 4)),
                  np.zeros((8, 8), bool), np.array(["a"], dtype=object), np.zeros(()),
                  np.full((5, 2, 2), np.nan), np.zeros((5, 2, 2), complex)):  # fmt: skip
        stream = io.BytesIO()
        np.save(stream, array)
        contents.append(stream.getvalue())
    path = tmp_path / "maps.npy"
    for case, rng in cases(600, "arrays"):
        path.write_bytes(spoiled_bytes(rng.choice(contents), rng))
        judge(case, lambda: read_condition(path, MAPS), path)
    judge.done(at_least=200)
