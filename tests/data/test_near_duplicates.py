from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mcltoolkit.data.near_duplicates import (
    THRESHOLD,
    image_vector,
    near_duplicate_blocks,
    near_duplicate_pairs,
    thumbnail_vector,
)
from mcltoolkit.errors import ConfigError, DataError


def photo(seed, size=(150, 200)):
    """Structure at several scales, light above and dark below, as in outdoor photos."""
    rng = np.random.default_rng(seed)
    total = np.linspace(90, -30, size[0])[:, None, None] * np.ones((1, size[1], 3))
    for cells, strength in ((3, 20), (7, 25), (15, 20), (40, 10)):
        blocks = rng.normal(0, strength, (cells, cells, 3))
        picture = [
            np.array(Image.fromarray(blocks[..., c].astype(np.float32)).resize(size[::-1]))
            for c in range(3)
        ]
        total = total + np.stack(picture, axis=-1)
    return Image.fromarray((total + 110).clip(0, 255).astype(np.uint8))


def as_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


COPIES = {
    "JPEG at quality 30": lambda p: as_jpeg(p, 30),
    "a third of the size": lambda p: p.resize((67, 50), Image.Resampling.BICUBIC),
    "twice the size": lambda p: p.resize((400, 300), Image.Resampling.BICUBIC),
    "another aspect": lambda p: p.resize((128, 128), Image.Resampling.BICUBIC),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.15),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.8),
    "grey": lambda p: p.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_and_other_photos_are_not(copy):
    photos = [photo(seed) for seed in range(12)]
    vectors = np.stack([thumbnail_vector(p) for p in photos])
    copies = np.stack([thumbnail_vector(copy(p)) for p in photos])
    pairs = near_duplicate_pairs(copies, vectors)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(i, i) for i in range(12)]
    assert pairs.score.min() > THRESHOLD + 0.03
    others = (copies @ vectors.T)[~np.eye(12, dtype=bool)]
    assert others.max() < THRESHOLD - 0.15


def test_the_vector_is_the_detail_of_a_grey_thumbnail():
    cells = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    image = np.stack([cells.repeat(2, 0).repeat(3, 1)] * 3, axis=-1)
    weight = [[math.exp(-((i - j) ** 2) / 8) for j in range(16)] for i in range(16)]
    detail = np.empty((16, 16))
    for row in range(16):
        for column in range(16):
            w = np.outer(weight[row], weight[column])
            detail[row, column] = cells[row, column] - (w * cells).sum() / w.sum()
    expected = detail.ravel() / math.sqrt((detail**2).sum())
    assert np.abs(thumbnail_vector(image) - expected).max() < 1e-6


def test_equal_pictures_reach_a_threshold_of_one():
    vectors = np.stack([thumbnail_vector(photo(seed)) for seed in range(12)])
    assert (np.einsum("nd,nd->n", vectors, vectors) < 1).any(), "rounding: else this shows nothing"
    pairs = near_duplicate_pairs(vectors, vectors.copy(), threshold=1)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(i, i) for i in range(12)]


def test_pictures_of_one_colour_resemble_nothing():
    plain = [thumbnail_vector(np.full((30, 30, 3), grey, np.uint8)) for grey in (0, 90, 90)]
    assert not np.any(plain)
    assert len(near_duplicate_pairs(np.stack(plain))) == 0


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("other", [False, True])
def test_pairs_are_those_of_a_plain_loop_whatever_the_chunk(chunk, other):
    rng = np.random.default_rng(3)
    a = rng.normal(size=(23, 4))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b = a[::-2] if other else None
    expected = [
        (i, j)
        for i in range(23)
        for j in (range(len(b)) if other else range(i + 1, 23))
        if float(a[i] @ (b if other else a)[j]) >= 0.5
    ]
    pairs = near_duplicate_pairs(a, b, threshold=0.5, chunk=chunk)
    assert list(zip(pairs.first, pairs.second, strict=True)) == expected
    assert len(expected) > 10
    cosines = [float(a[i] @ (b if other else a)[j]) for i, j in expected]
    assert np.allclose(pairs.score, cosines)
    sizes = [len(block) for block in near_duplicate_blocks(a, b, threshold=0.5, chunk=chunk)]
    assert sum(sizes) == len(expected)
    assert max(sizes) <= chunk**2


def test_a_file_has_the_vector_of_its_picture(tmp_path):
    photo(1).save(tmp_path / "a.png")
    assert np.array_equal(image_vector(tmp_path / "a.png"), thumbnail_vector(photo(1)))
    with pytest.raises(DataError, match=r"b\.png does not exist"):
        image_vector(tmp_path / "b.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"threshold": 0}, "threshold is 0; allowed are 0 < values <= 1"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"chunk": 0}, "chunk is 0; allowed are values >= 1"),
        ({"b": np.zeros((2, 5))}, r"shape \(3, 4\) and \(2, 5\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        near_duplicate_pairs(np.zeros((3, 4)), **arguments)
