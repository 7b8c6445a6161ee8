from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mcltoolkit.data import (
    Draw,
    ExemplarDataset,
    FolderDataset,
    Picture,
    Record,
    SeededSampler,
)
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.structures import collate

CROP = [dict(type="RandomCrop", height=24, width=24), dict(type="HorizontalFlip", p=0.5)]
LIST = "a.png,b.png,c.png\nb.png,c.png\nc.png,a.png\nd.png,a.png\ne.png,f.png\nf.png,a.png,b.png"


@pytest.fixture
def folder(make_folder):
    return make_folder(lists={"exemplars.txt": LIST})


def listed(folder, **settings) -> FolderDataset:
    settings = dict(exemplar_list="exemplars.txt", geometry=CROP) | settings
    return FolderDataset(folder, **settings)


def classes_of(image: torch.Tensor) -> torch.Tensor:
    """Labels that the image's red channel encodes (see `picture_of`)."""
    return ((image[0] + 1) * 127.5 / 20).round().long()


def corner(image: torch.Tensor) -> tuple[int, int]:
    """Original row and column of the upper left pixel."""
    row, column = ((image[1:, 0, 0] + 1) * 127.5).round().int().tolist()
    return row, column


def test_all_maps_stay_aligned(folder):
    dataset = listed(folder)
    for number in range(30):
        sample = dataset[Draw(number % 6, number)]
        assert sample.truth.shape == sample.exemplar.shape == (3, 24, 24)
        torch.testing.assert_close(classes_of(sample.truth), sample.labels)
        torch.testing.assert_close(classes_of(sample.exemplar), sample.exemplar_labels)


def test_self_exemplars_are_cropped_and_flipped_anew(folder):
    dataset = listed(folder, exemplar_choice="self")
    samples = [dataset[Draw(0, n)] for n in range(60)]
    assert all(s.paired and s.exemplar_name == s.name == "a" for s in samples)
    truth = np.array([corner(s.truth) for s in samples])
    exemplar = np.array([corner(s.exemplar) for s in samples])
    assert (truth != exemplar).any(axis=1).mean() > 0.9
    assert abs(np.corrcoef(truth[:, 0], exemplar[:, 0])[0, 1]) < 0.45


def test_exemplar_geometry_of_its_own(folder):
    dataset = listed(folder, exemplar_geometry=[dict(type="CenterCrop", height=8, width=8)])
    sample = dataset[Draw(0, 0)]
    assert sample.exemplar.shape == (3, 8, 8)
    assert sample.truth.shape == (3, 24, 24)


def test_recipe_takes_first_last_or_the_truth(folder):
    dataset = listed(folder)
    samples = [dataset[Draw(0, n)] for n in range(400)]
    counts = {name: sum(s.exemplar_name == name for s in samples) / 400 for name in "abc"}
    assert counts["a"] == pytest.approx(0.3, abs=0.1)
    assert counts["b"] == pytest.approx(0.56, abs=0.1)
    assert counts["c"] == pytest.approx(0.14, abs=0.1)
    assert all(s.paired == (s.exemplar_name == "a") for s in samples)


def test_a_plain_index_never_changes_a_draw_does(folder):
    dataset = listed(folder, exemplar_choice="self")
    places = {corner(dataset[2].truth) for _ in range(5)}
    assert len(places) == 1
    assert len({corner(dataset[Draw(2, n)].truth) for n in range(20)}) > 10
    assert corner(dataset[Draw(2, 3)].truth) == corner(dataset[Draw(2, 3)].truth)
    other = listed(folder, exemplar_choice="self", seed=1)
    draws = [Draw(2, n) for n in range(5)]
    assert [corner(other[d].truth) for d in draws] != [corner(dataset[d].truth) for d in draws]


def batches(dataset, workers: int, skip: int = 0):
    sampler = SeededSampler(dataset, seed=4)
    sampler.skip(skip)
    loader = DataLoader(
        dataset, batch_size=2, sampler=sampler, num_workers=workers, collate_fn=collate
    )
    return list(loader)


def test_workers_and_resuming_repeat_exactly(folder):
    dataset = listed(folder)
    alone, shared, resumed = batches(dataset, 0), batches(dataset, 2), batches(dataset, 0, skip=2)
    assert len(alone) == len(shared) == 3
    for pairs in (zip(alone, shared, strict=True), zip(alone[1:], resumed, strict=True)):
        for one, two in pairs:
            assert one.names == two.names
            assert one.exemplar_names == two.exemplar_names
            for field in ("truth", "labels", "exemplar", "exemplar_labels", "paired"):
                assert torch.equal(getattr(one, field), getattr(two, field)), field


def test_it_travels_to_spawned_workers(folder):
    dataset = listed(folder)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[Draw(1, 1)].truth, dataset[Draw(1, 1)].truth)


def test_sizes_must_agree(folder):
    small = folder / "annotations" / "training" / "b.png"
    Image.fromarray(np.zeros((40, 47), np.uint8)).save(small)
    with pytest.raises(DataError) as caught:
        listed(folder)[1]
    image = str(folder / "images" / "training" / "b.png")
    for part in (image, str(small), "40x48", "40x47", "resize"):
        assert part in str(caught.value)


def test_too_small_a_picture_is_named(folder):
    dataset = listed(folder, geometry=[dict(type="RandomCrop", height=64, width=64)])
    with pytest.raises(
        DataError, match=r"a\.png: geometry \[RandomCrop\] cannot be applied to 40x48"
    ):
        dataset[0]


def test_metainfo_and_defaults(folder):
    info = listed(folder, ignore_label=4).metainfo
    assert info["classes"] == [f"thing {k}" for k in range(5)]
    assert len(set(info["palette"])) == info["num_classes"] == 5
    assert info["ignore_label"] == 4


RECORDS = [Record(Picture("a", "a.png", "a.png"))]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(classes=["x"]), "classes has 1 entries, num_classes is 3"),
        (dict(palette=[(0, 0, 0)] * 4), "palette has 4 entries, num_classes is 3"),
        (dict(ignore_label=255), r"ignore_label is 255; allowed are 0\.\.2 or None"),
        (dict(num_classes=0), "num_classes is 0"),
        (dict(exemplar_choice="first"), r"'first' needs an exemplar.*1 of 1 have none \(a\)"),
        (dict(seed=-3), "seed is -3"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ConfigError, match=message):
        ExemplarDataset(RECORDS, **(dict(num_classes=3) | settings))


def test_no_records_are_refused():
    with pytest.raises(DataError, match="0 samples; at least 1"):
        ExemplarDataset([], num_classes=3)
