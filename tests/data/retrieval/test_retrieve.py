from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import read_exemplar_list
from mcltoolkit.data.retrieval import (
    Backbone,
    BackboneFeatures,
    Exclusion,
    LayoutFeatures,
    find_gallery,
    groups_from_regex,
    list_text,
    retrieve,
    scores_text,
)
from mcltoolkit.data.retrieval.describe import describe
from mcltoolkit.errors import ConfigError, DataError


def banded(position, size=(48, 64)):
    """Two classes with the border at a column: the nearer two borders, the more alike the maps."""
    labels = np.zeros(size, np.uint8)
    labels[:, position:] = 1
    return labels


@pytest.fixture
def bands(photo_folder):
    """Six photos, all different, whose label maps order them on a line; `a2` is a copy of `a`."""
    borders = {"a": 8, "a2": 9, "b": 16, "c": 24, "d": 40, "e": 48}
    numbers = {"a": 1, "a2": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    images = photo_folder("images", {f"{name}.png": number for name, number in numbers.items()})
    labels = photo_folder("labels", {f"{n}.png": banded(b) for n, b in borders.items()})
    return find_gallery(images, labels)


def listed(result):
    lines = list_text(result).splitlines()
    return {line[0]: line[1:] for line in ([n.removesuffix(".png") for n in text.split(",")]
                                           for text in lines)}  # fmt: skip


def test_neighbours_on_a_line_without_copies(bands):
    result = retrieve(bands, bands, LayoutFeatures(), top=2)
    found = listed(result)
    assert found["c"] == ["b", "a2"], "the copy a of a2 is not picked beside it"
    assert found["a"] == ["b", "c"], "neither itself nor its copy"
    assert found["e"] == ["d", "c"]
    scores = [s for _, s in result.exemplars(3)]
    assert scores == sorted(scores, reverse=True)


def test_copies_stay_when_not_looked_for(bands):
    found = listed(retrieve(bands, bands, LayoutFeatures(), 2, Exclusion(duplicates=None)))
    assert found["a"] == ["a2", "b"]


def test_groups_are_kept_apart(bands):
    groups = groups_from_regex("^(.)", [n.replace("b", "c") for n in bands.names])
    found = listed(retrieve(bands, bands, LayoutFeatures(), 2, Exclusion(None, (groups, groups))))
    assert found["c"] == ["a2", "a"]
    assert found["a"] == ["b", "c"]


def test_files_say_who_and_how(bands, tmp_path):
    result = retrieve(bands, bands, LayoutFeatures([255]), top=2)
    (tmp_path / "list.txt").write_text(list_text(result))
    lines = read_exemplar_list(tmp_path / "list.txt")
    assert list(lines) == list(bands.names)
    head, table = [], []
    for line in scores_text(result).splitlines():
        (head if line.startswith("#") else table).append(line)
    assert "# features: layout" in head
    assert "# ignored labels: 255" in head
    assert "# near-duplicates: 0.9" in head
    rows = list(csv.DictReader(table))
    assert [(r["query"], r["rank"], r["exemplar"]) for r in rows[:2]] == [
        ("a.png", "1", "b.png"),
        ("a.png", "2", "c.png"),
    ]
    # Borders at 8 and 16 of 64 columns. H: 8/64 + 48/64. L: 56 of 64 cells agree, and each of the
    # other 8 adds the whole of two classes to the maxima.
    assert float(rows[0]["score"]) == pytest.approx(0.5 * 56 / 64 + 0.5 * 56 / 72, abs=1e-6)
    assert scores_text(retrieve(bands, bands, LayoutFeatures([255]), top=2)) == scores_text(result)


def test_too_few_are_named_or_written_on_request(bands):
    with pytest.raises(DataError) as caught:
        retrieve(bands, bands, LayoutFeatures(), top=5)
    for words in ("6 of 6 conditions", "fewer than 5", "a.png (4)", "--allow-fewer", "--top"):
        assert words in str(caught.value)
    result = retrieve(bands, bands, LayoutFeatures(), top=5, allow_fewer=True)
    assert result.ranking.counts.tolist() == [4, 4, 4, 4, 4, 4]
    high = retrieve(bands, bands, LayoutFeatures(), 5, min_score=0.84, allow_fewer=True)
    assert high.ranking.counts.tolist() == [0, 1, 1, 0, 0, 0]
    assert listed(high) == {"a2": ["b"], "b": ["a2"]}, "no line for those without"
    with pytest.raises(DataError, match="no condition in .* has an exemplar left; loosen"):
        list_text(retrieve(bands, bands, LayoutFeatures(), 5, min_score=0.999, allow_fewer=True))


def test_a_photo_linked_into_the_candidates_is_still_itself(bands, tmp_path):
    (tmp_path / "links").mkdir()
    for image, name in zip(bands.images, bands.names, strict=True):
        (tmp_path / "links" / f"x{name}").symlink_to(image)
        (tmp_path / "links" / f"l_x{name}").symlink_to(bands.labels[bands.names.index(name)])
    names = {f"x{n}" for n in bands.names}
    (tmp_path / "own").mkdir()
    for name in sorted(names):
        (tmp_path / "links" / f"l_{name}").rename(tmp_path / "own" / name)
    candidates = find_gallery(tmp_path / "links", tmp_path / "own")
    result = retrieve(bands, candidates, LayoutFeatures(), 2, Exclusion(duplicates=None))
    for number, name in enumerate(bands.names):
        assert f"x{name}" not in [candidates.names[c] for c, _ in result.exemplars(number)]


def test_network_features_rank_like_numpy(photo_folder, scene):
    images = photo_folder("many", {f"{n:02d}.png": n for n in range(12)})
    gallery = find_gallery(images)
    backbone = Backbone("timm:test_resnet", "random", side=32)
    result = retrieve(gallery, gallery, BackboneFeatures(backbone), top=3, batch=5)
    vectors = np.concatenate([backbone(backbone.prepare(scene(n))[None]) for n in range(12)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = vectors @ vectors.T - 3 * np.eye(12)
    assert result.ranking.candidates.tolist() == np.argsort(-cosine, axis=1)[:, :3].tolist()
    assert result.settings["features"] == "timm:test_resnet"


def test_batches_and_threads_change_nothing(bands):
    one = describe(bands, LayoutFeatures(), workers=1, batch=1)
    many = describe(bands, LayoutFeatures(), workers=3, batch=4)
    assert set(one) == {"classes", "histogram", "cells", "thumbnails"}
    for name, array in one.items():
        assert (array == many[name]).all()


def test_cache_is_used_until_a_file_changes(bands, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = describe(bands, LayoutFeatures(), cache=cache)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(LayoutFeatures, "prepare", None)  # reading would fail
    again = describe(bands, LayoutFeatures(), cache=cache)
    assert all((again[name] == array).all() for name, array in first.items())
    with pytest.raises(TypeError):
        describe(bands, LayoutFeatures(grid=4), cache=cache)
    monkeypatch.undo()
    Image.fromarray(banded(60)).save(bands.labels[0])
    changed = describe(bands, LayoutFeatures(), cache=cache)
    assert (changed["histogram"][0] != first["histogram"][0]).any()
    for path in cache.iterdir():
        path.write_bytes(b"half")
    with pytest.raises(DataError, match=r"cached features .*npz cannot be read.*delete it"):
        describe(bands, LayoutFeatures(), cache=cache)


def test_broken_files_are_named(bands):
    bands.images[2].write_bytes(bands.images[2].read_bytes()[:90])
    with pytest.raises(DataError, match=r"images/b\.png is unreadable or truncated"):
        retrieve(bands, bands, LayoutFeatures(), top=2)
    Image.fromarray(np.full((48, 64), 9, np.uint8)).save(bands.labels[0])
    exclusion = Exclusion(duplicates=None)
    with pytest.raises(DataError, match=r"label map .*labels/a\.png: every pixel has an ignored"):
        retrieve(bands, bands, LayoutFeatures([9]), 2, exclusion)


def test_settings_that_do_not_fit(bands):
    with pytest.raises(ConfigError, match=r"compares label maps, but none are named for .*images"):
        retrieve(find_gallery(bands.folder), bands, LayoutFeatures())
    with pytest.raises(ConfigError, match="--workers is 0"):
        describe(bands, LayoutFeatures(), workers=0)
    with pytest.raises(ConfigError, match="--grid is 0"):
        LayoutFeatures(grid=0)
    with pytest.raises(ConfigError, match=r"--histogram-share is 1\.5; allowed are values 0\.\.1"):
        LayoutFeatures(share=1.5)
    with pytest.raises(ConfigError, match="--top is 0"):
        retrieve(bands, bands, LayoutFeatures(), top=0)
    groups = groups_from_regex("^(.)", bands.names)
    with pytest.raises(ConfigError, match="--group-gap compares frame numbers, 6 of 6"):
        retrieve(bands, bands, LayoutFeatures(), 2, Exclusion(groups=(groups, groups), gap=3))
