from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from mcltoolkit.data import Draw, SeededSampler, SyntheticScenes, scene_grid
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import DATASETS
from mcltoolkit.structures import collate


def class_colours(image: torch.Tensor, labels: torch.Tensor, num_classes: int) -> np.ndarray:
    return np.stack([image[:, labels == k].mean(dim=1).numpy() for k in range(num_classes)])


def test_a_sample_has_all_maps():
    scenes = SyntheticScenes(size=(32, 48), num_classes=4)
    sample = scenes[0]
    assert sample.truth.shape == sample.exemplar.shape == (3, 32, 48)
    assert sample.labels.shape == sample.exemplar_labels.shape == (32, 48)
    assert sample.truth.dtype == torch.float32
    assert sample.labels.dtype == torch.int64
    assert sample.paired
    assert float(sample.truth.abs().max()) <= 1
    assert not torch.equal(sample.labels, sample.exemplar_labels)


def test_truth_has_the_exemplars_style():
    scenes = SyntheticScenes("val", num_classes=6)
    same, other = [], []
    for index in range(30):
        sample, stranger = scenes[index], scenes[index + 1]
        truth = class_colours(sample.truth, sample.labels, 6)
        same.append(truth - class_colours(sample.exemplar, sample.exemplar_labels, 6))
        other.append(truth - class_colours(stranger.exemplar, stranger.exemplar_labels, 6))
    assert np.abs(same).mean() < 0.04
    assert np.abs(other).mean() > 0.3


def test_where_the_class_agrees_truth_and_exemplar_are_equal():
    sample = SyntheticScenes("val")[3]
    agree = sample.labels == sample.exemplar_labels
    assert agree.any()
    torch.testing.assert_close(sample.truth[:, agree], sample.exemplar[:, agree], atol=1e-5, rtol=0)


def test_the_exemplar_shows_every_class_of_the_condition():
    scenes = SyntheticScenes(num_classes=12, size=(48, 48))
    for index in range(20):
        assert scenes[index].exemplar_labels.unique().tolist() == list(range(12))


def test_self_exemplar_is_the_truth():
    sample = SyntheticScenes(exemplar="self")[0]
    assert torch.equal(sample.truth, sample.exemplar)
    assert torch.equal(sample.labels, sample.exemplar_labels)


def test_a_warped_exemplar_is_the_truth_seen_at_its_known_positions():
    for index in range(4):
        sample = SyntheticScenes(exemplar="warped", size=(96, 64))[index]
        positions = sample.exemplar_positions
        assert positions.shape == (2, 96, 64)
        assert positions.dtype == torch.float32
        known = ~positions.isnan().any(0)
        assert 0.5 < known.float().mean() < 1
        places = positions.nan_to_num().permute(1, 2, 0)[None]
        options = {"padding_mode": "border", "align_corners": False}
        seen = F.grid_sample(sample.exemplar[None], places, **options)[0]
        unmoved = (sample.exemplar - sample.truth).abs()[:, known].mean()
        assert (seen - sample.truth).abs()[:, known].mean() < 0.3 * unmoved
        labels = sample.exemplar_labels[None, None].float()
        moved = F.grid_sample(labels, places, mode="nearest", **options)[0, 0].long()
        # rounded twice to whole pixels, so only borders of classes may differ
        assert (moved == sample.labels)[known].float().mean() > 0.95


def test_warped_scenes_have_the_truth_of_self_scenes_and_bend_anew_each_time():
    warped, own = (SyntheticScenes(exemplar=kind, size=(32, 32)) for kind in ("warped", "self"))
    assert torch.equal(warped[2].truth, own[2].truth)
    assert torch.equal(warped[2].labels, own[2].labels)
    assert own[2].exemplar_positions is None
    assert torch.equal(warped[2].exemplar, warped[2].exemplar)
    fields = {warped[i].exemplar_positions.numpy().tobytes() for i in range(5)}
    fields |= {warped[Draw(2, n)].exemplar_positions.numpy().tobytes() for n in range(5)}
    assert len(fields) == 10


def test_without_strength_the_warped_exemplar_is_the_truth():
    sample = SyntheticScenes(exemplar="warped", warp=0, size=(16, 24))[0]
    torch.testing.assert_close(sample.exemplar, sample.truth, atol=1e-5, rtol=0)
    assert torch.equal(sample.exemplar_labels, sample.labels)
    assert sample.exemplar_positions[0, 0].tolist() == pytest.approx(
        [(2 * j + 1) / 24 - 1 for j in range(24)], abs=1e-6
    )
    assert sample.exemplar_positions[1, :, 0].tolist() == pytest.approx(
        [(2 * i + 1) / 16 - 1 for i in range(16)], abs=1e-6
    )


def test_endless_by_draws_and_fixed_by_index():
    scenes = SyntheticScenes(length=3)
    assert torch.equal(scenes[1].truth, scenes[1].truth)
    layouts = {scenes[Draw(1, n)].labels.numpy().tobytes() for n in range(20)}
    assert len(layouts) == 20
    assert len({scenes[Draw(1, n)].name for n in range(20)}) == 20
    with pytest.raises(IndexError):
        scenes[3]


def test_splits_and_seeds_share_nothing():
    settings = [
        dict(split=split, seed=seed) for split in ("train", "val", "test") for seed in (0, 1, 2)
    ]
    seen = [
        SyntheticScenes(**s, size=(32, 32))[i].labels.numpy().tobytes()
        for s in settings
        for i in range(20)
    ]
    assert len(set(seen)) == len(seen)


def test_workers_and_resuming_repeat_exactly():
    scenes = SyntheticScenes(length=8, size=(24, 24))

    def batches(workers: int, skip: int = 0):
        sampler = SeededSampler(scenes, seed=2)
        sampler.set_epoch(3)
        sampler.skip(skip)
        loader = DataLoader(
            scenes, batch_size=4, sampler=sampler, num_workers=workers, collate_fn=collate
        )
        return list(loader)

    alone, shared, resumed = batches(0), batches(2), batches(0, skip=4)
    for one, two in [*zip(alone, shared, strict=True), (alone[1], resumed[0])]:
        assert one.names == two.names
        assert torch.equal(one.truth, two.truth)
        assert torch.equal(one.exemplar, two.exemplar)


def test_metainfo_names_the_patterns():
    info = DATASETS.build(dict(type="SyntheticScenes", num_classes=4)).metainfo
    assert info["classes"] == ["gradient", "stripes", "checks", "dots"]
    assert len(info["palette"]) == info["num_classes"] == 4
    assert info["ignore_label"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(split="training"), r"split is 'training'; did you mean 'train'\?; allowed are train"),
        (dict(exemplar="same"), "exemplar is 'same'.*allowed are other, self, warped"),
        (dict(warp=0.5), r"warp is 0\.5; allowed are 0\.\.0\.3"),
        (dict(num_classes=13), r"num_classes is 13; allowed are 2\.\.12"),
        (dict(num_classes=1), r"num_classes is 1; allowed are 2\.\.12"),
        (dict(size=(8, 64)), r"size is \(8, 64\); allowed are .* at least 16"),
        (dict(length=0), "length is 0"),
        (dict(jitter=-1), "jitter -1"),
        (dict(seed=-1), "seed is -1"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ConfigError, match=message):
        SyntheticScenes(**settings)


def test_grid_holds_the_pictures():
    scenes = SyntheticScenes(size=(16, 24), num_classes=3)
    grid = scene_grid(scenes, count=2, zoom=2)
    assert grid.shape == (2 * (2 * 16 + 12), 4 * (2 * 24 + 12), 3)
    tile = grid[6 : 6 + 32 : 2, 186 : 186 + 48 : 2]
    expected = ((scenes[0].truth.numpy().transpose(1, 2, 0) + 1) * 127.5).round()
    np.testing.assert_array_equal(tile, expected)
