import numpy as np
import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import load_model, translate_each
from mcltoolkit.inference.steady import Steadier, changed
from mcltoolkit.structures import Alignment


@pytest.fixture(scope="module")
def model(ade20k):
    return load_model(ade20k, "cpu")


def scene(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(7, size=(4, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)


def noisy(labels, rng, share=0.01):
    flipped = rng.random(labels.shape) < share
    return np.where(flipped, rng.integers(7, size=labels.shape), labels).astype(np.uint8)


@pytest.fixture(scope="module")
def frames():
    """A still scene with single wrong pixels, a cut, and another still scene."""
    rng = np.random.default_rng(3)
    return [noisy(scene(0), rng) for _ in range(12)] + [noisy(scene(8), rng) for _ in range(3)]


@pytest.fixture(scope="module")
def video(model, frames):
    photo = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)

    def run(steadiness, batch_size=1):
        found = translate_each(
            frames, photo, model, exemplar_condition=scene(5), steadiness=steadiness,
            batch_size=batch_size,
        )  # fmt: skip
        return [(r.prediction.warped, r.prediction.fake) for r in found]

    return run


def flicker(pictures, frames):
    """Mean absolute difference of consecutive frames where the condition is the same in both."""
    found = []
    for k in range(1, len(pictures)):
        rests = torch.from_numpy(frames[k] == frames[k - 1])
        found.append((pictures[k] - pictures[k - 1]).abs()[:, rests].mean())
    return float(torch.stack(found).mean())


def test_a_still_scene_flickers_less(video, frames):
    """By the formula for independent noise the warp's differences are 0.15 of what they were; here
    at most a quarter, with the first frames, in which the average is young, left out. The output
    differs also because the generator sees the noise itself."""
    plain, steady = video(0.0)[4:12], video(0.8)[4:12]
    shown = frames[4:12]
    warped = [flicker([w for w, _ in found], shown) for found in (plain, steady)]
    output = [flicker([f for _, f in found], shown) for found in (plain, steady)]
    assert warped[0] > 1e-3
    assert warped[1] < warped[0] / 4
    assert output[1] < output[0] * 0.9


def test_nothing_of_the_old_scene_stays_after_a_cut(video):
    plain, steady = video(0.0), video(0.8)
    for k in (0, 12):  # the first frame, and the first of the other scene
        assert all(torch.equal(a, b) for a, b in zip(plain[k], steady[k], strict=True))
    assert not torch.equal(plain[11][0], steady[11][0])


def test_without_steadiness_each_frame_is_translated_alone(model, frames, video):
    plain = video(0.0)
    photo = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    for k in (3, 13):
        (alone,) = translate_each([frames[k]], photo, model, exemplar_condition=scene(5))
        assert torch.equal(alone.prediction.fake, plain[k][1])


def test_batches_of_frames_are_steadied_in_their_order(video):
    for one, other in zip(video(0.8), video(0.8, batch_size=4), strict=True):
        torch.testing.assert_close(one[0], other[0], atol=1e-4, rtol=1e-4)


def one_hot(labels):
    return torch.nn.functional.one_hot(torch.as_tensor(labels), 3).permute(2, 0, 1)[None].float()


def alignment(value, guidance=None, size=24):
    vectors = torch.ones(1, 1, (size // 4) ** 2)
    match = CosineMatch(vectors, vectors, (size // 4,) * 2, (size // 4,) * 2)
    filled = torch.full((1, 3, size, size), float(value))
    deep = None if guidance is None else torch.full((1, 5, size, size), float(guidance))
    return Alignment(match, filled, guidance=deep)


def test_the_average_is_the_formula_s():
    steadier, still = Steadier(0.75), one_hot(np.zeros((24, 24), int))
    expected = 1.0
    assert steadier(alignment(1, 10), still).warped.mean() == 1
    for value in (3.0, -2.0, 5.0):
        expected = 0.75 * expected + 0.25 * value
        found = steadier(alignment(value, 10 * value), still)
        assert found.warped.unique().item() == pytest.approx(expected)
        assert found.guidance.unique().item() == pytest.approx(10 * expected)


def test_a_moving_square_leaves_nothing_behind():
    """A large square of class 1 moves right: what it uncovers and covers is new at once."""
    steadier, before = Steadier(0.9), None
    for k in range(4):
        labels = np.zeros((24, 24), int)
        labels[4:20, 2 + 2 * k : 14 + 2 * k] = 1
        found = steadier(alignment(k), one_hot(labels)).warped[0, 0]
        if before is not None:
            moved = torch.from_numpy(labels != before)
            assert moved.any()
            assert (found[moved] == k).all()
            assert (found[:, 2 * k : 2 + 2 * k][4:20] == k).all()
        before = labels
    assert found[0, 0] < 3, "a corner that rests is averaged"


def test_what_counts_as_changed():
    still = one_hot(np.zeros((24, 24), int))
    grid = (6, 6)
    assert not changed(still, still, grid).any()
    single = np.zeros((24, 24), int)
    single[12, 12] = 1
    assert changed(still, one_hot(single), grid).nonzero().tolist() == [[0, 0, 12, 12]]
    block = np.zeros((24, 24), int)
    block[10:15, 10:15] = 2
    found = changed(still, one_hot(block), grid)[0, 0]
    assert found[10:15, 10:15].all()
    assert found[8, 12], "beside what moves"
    assert not found[0].any()
    half = np.zeros((24, 24), int)
    half[:7] = 1
    assert changed(still, one_hot(half), grid).all(), "another scene"
    maps = torch.rand(1, 3, 24, 24)
    assert not changed(maps, maps + 0.09, grid).any()
    assert changed(maps, maps + 0.11, grid).all()


def test_frames_of_two_sizes_and_steadiness_out_of_range():
    steadier = Steadier(0.5)
    for _ in range(2):
        steadier.check_size((24, 24))
    with pytest.raises(ConfigError, match="translated at 32x32, those before at 24x24"):
        steadier.check_size((32, 32))
    alone = Steadier(0)
    for size in ((24, 24), (32, 32)):
        alone.check_size(size)
    for value in (-0.1, 1.1, float("nan"), "0.5"):
        with pytest.raises(ConfigError, match="steadiness is .*allowed are 0"):
            Steadier(value)


def test_frames_whose_padded_sizes_agree_are_of_two_sizes(model):
    photo = np.zeros((64, 64, 3), np.uint8)
    given = [np.zeros((64, 64), np.uint8), np.zeros((61, 64), np.uint8)]
    options = {"exemplar_condition": given[0]}
    steady = translate_each(given, photo, model, steadiness=0.5, **options)
    assert next(steady).size == (64, 64)
    with pytest.raises(ConfigError, match="translated at 61x64, those before at 64x64"):
        next(steady)
    assert [r.size for r in translate_each(given, photo, model, **options)] == [(64, 64), (61, 64)]
