import pytest
import torch
from mcltoolkit_cocosnet2.level_warp import LevelWarpLoss

from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Alignment, Batch, Translation


def make(paired=(True, False)):
    torch.manual_seed(0)
    truth, image = torch.rand(2, 3, 8, 12), torch.zeros(2, 3, 8, 12)
    levels = [torch.rand(2, 3, 2, 3), torch.rand(2, 3, 4, 6), torch.rand(2, 3, 8, 12)]
    batch = Batch(["a", "b"], image, torch.tensor(paired), truth=truth)
    alignment = Alignment(match=None, warped=levels[-1])
    return Translation(batch, alignment, image, extras={"warped_levels": levels})


def loop_value(translation, weights):
    """Means over cells by hand, for the first sample."""
    total = 0.0
    for weight, warped in zip(weights, translation.extras["warped_levels"], strict=True):
        rows, columns = warped.shape[-2:]
        f, g = 8 // rows, 12 // columns
        error = 0.0
        for r in range(rows):
            for c in range(columns):
                cell = translation.batch.truth[0, :, r * f : (r + 1) * f, c * g : (c + 1) * g]
                error += (warped[0, :, r, c] - cell.mean((1, 2))).abs().mean().item()
        total += weight * error / (rows * columns)
    return total


@pytest.mark.parametrize("weights", [None, [0.0, 2.0, 0.5]])
def test_equals_the_sum_over_levels_of_the_paired_sample(weights):
    translation = make()
    found = LevelWarpLoss(level_weights=weights)(translation)
    assert found.item() == pytest.approx(loop_value(translation, weights or [1, 1, 1]), rel=1e-5)


def test_zero_without_a_paired_sample():
    assert LevelWarpLoss()(make((False, False))).item() == 0


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="2 values.*3 levels"):
        LevelWarpLoss(level_weights=[1.0, 1.0])(make())
