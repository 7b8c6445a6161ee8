from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from mcltoolkit.data.near_duplicates import thumbnail_vector
from mcltoolkit.data.retrieval import Facts, Rules
from mcltoolkit.errors import ConfigError


def altered(picture):
    """The picture as copies in a data set differ: re-encoded, shrunk, brighter, cropped."""
    image = Image.fromarray(picture)
    width, height = image.size
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    cut = (width // 50, height // 50, width - width // 50, height - height // 50)
    return {
        "jpeg": Image.open(buffer).convert("RGB"),
        "third": image.resize((width // 3, height // 3), Image.Resampling.LANCZOS),
        "brighter": ImageEnhance.Brightness(image).enhance(1.2),
        "duller": ImageEnhance.Contrast(image).enhance(0.8),
        "cropped": image.crop(cut),
    }


def test_copies_are_excluded_and_other_pictures_are_not(scene):
    originals = [scene(n, (192, 256)) for n in range(4)]
    copies = [altered(picture) for picture in originals]
    own = np.stack([thumbnail_vector(p) for p in originals])
    other = np.stack([thumbnail_vector(np.asarray(c)) for d in copies for c in d.values()])
    rules = Rules(Facts.of(range(4), thumbnails=own), Facts.of(range(10, 30), thumbnails=other))
    excluded = rules.excluded(torch.arange(4), slice(0, 20))
    assert excluded.tolist() == np.eye(4, dtype=bool).repeat(5, axis=1).tolist()
    assert rules.clashes(7, [0, 6])
    assert not rules.clashes(7, [0, 12])


def test_equal_pictures_reach_a_threshold_of_one(scene):
    own = np.stack([thumbnail_vector(scene(n)) for n in range(20)])
    rules = Rules(Facts.of(range(20), thumbnails=own), Facts.of(range(20, 40), thumbnails=own), 1.0)
    assert (rules.queries.thumbnails.square().sum(1) < 1).any(), "rounding: else this shows nothing"
    assert torch.equal(rules.excluded(torch.arange(20), slice(0, 20)), torch.eye(20) > 0)


def test_pictures_of_one_colour_are_no_duplicates():
    flat = np.zeros((2, 256), np.float32)
    rules = Rules(Facts.of([0], thumbnails=flat[:1]), Facts.of([1, 2], thumbnails=flat))
    assert not rules.excluded(torch.tensor([0]), slice(0, 2)).any()


def test_files_and_groups():
    queries = Facts.of([0, 1, 2], [5, 5, 6], [10, 90, 10])
    candidates = Facts.of([2, 3, 4], [6, 5, 5], [0, 15, 99])
    rows = torch.arange(3)
    no, yes = False, True
    whole = Rules(queries, candidates)
    assert whole.excluded(rows, slice(0, 3)).tolist() == [
        [no, yes, yes],
        [no, yes, yes],
        [yes, no, no],
    ]
    near = Rules(queries, candidates, gap=9)
    assert near.excluded(rows, slice(0, 3)).tolist() == [
        [no, yes, no],
        [no, no, yes],
        [yes, no, no],  # the same file, though its frames are 10 apart
    ]
    assert near.excluded(torch.tensor([1]), slice(2, 3)).tolist() == [[yes]]


def test_groups_among_the_exemplars_only_when_spread():
    facts = Facts.of([0, 1, 2, 3], [5, 5, 5, 6], [0, 5, 50, 0])
    assert not Rules(facts, facts).clashes(1, [0])
    assert Rules(facts, facts, spread=True).clashes(2, [0])
    assert not Rules(facts, facts, spread=True).clashes(3, [0, 1])
    assert Rules(facts, facts, gap=5, spread=True).clashes(1, [0])
    assert not Rules(facts, facts, gap=5, spread=True).clashes(2, [0, 1])
    assert Rules(Facts.of([0]), Facts.of([7, 7])).clashes(1, [0]), "one file under two names"


@pytest.mark.parametrize("value", [0.0, -0.5, 1.5])
def test_thresholds_outside_their_range(value):
    with pytest.raises(ConfigError, match=r"--duplicates is .*allowed are values above 0 up to 1"):
        Rules(Facts.of([0]), Facts.of([1]), value)
    with pytest.raises(ConfigError, match="--group-gap is -1"):
        Rules(Facts.of([0]), Facts.of([1]), gap=-1)
