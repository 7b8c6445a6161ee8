"""What is not finite is an error that names the sample, never a number."""

import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.errors import DataError
from mcltoolkit.metrics import (
    PCK,
    CycleError,
    ImageQuality,
    LabelTransfer,
    LPIPSDiversity,
    MatchEntropy,
    cycle_error,
    match_entropy,
    matched_positions,
)

MATCHED = [PCK, lambda: PCK(soft=True), CycleError, MatchEntropy]


def broken_match():
    """The second of two samples has one query that is not a number."""
    queries = torch.nn.functional.normalize(torch.randn(2, 6, 20), dim=1)
    keys = torch.nn.functional.normalize(torch.randn(2, 6, 20), dim=1)
    queries[1, 0, 7] = torch.nan
    return CosineMatch(queries, keys, (4, 5), (5, 4))


@pytest.mark.parametrize("kind", MATCHED)
def test_a_match_that_is_not_finite_is_named(kind, sample):
    match, samples = broken_match(), [sample(0), sample(1)]
    for index, one in enumerate(samples):
        one.match, one.index = match, index
    metric = kind()
    metric.process(None, samples[:1])
    with pytest.raises(DataError, match="the match of 'sample 1' holds NaN"):
        metric.process(None, samples)


def test_functions_of_such_a_match_give_no_number():
    match = broken_match()
    for values in (cycle_error(match), *match_entropy(match)):
        assert values.isfinite().tolist() == [True, False]
    places = matched_positions(match)[1]
    assert places.isnan().any(0).nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_outputs_and_labels_that_are_not_finite_are_named(sample, value):
    samples = [sample(0, name="good"), sample(1, name="bad")]
    samples[1].fake[0, 3, 3] = value
    samples[1].warped_labels[2, 0, 0] = value
    with pytest.raises(DataError, match="output of 'bad' holds NaN or infinite"):
        LPIPSDiversity("random", net="squeeze").process(None, samples)
    with pytest.raises(DataError, match="warped labels of 'bad' hold NaN or infinite"):
        LabelTransfer().process(None, samples)


@pytest.mark.parametrize("kind", [PCK, LabelTransfer, CycleError, MatchEntropy])
def test_metrics_of_the_match_tell_images_too(kind, sample):
    metric = kind()
    metric.process(None, [sample(0)])
    metric.evaluate(1)
    for passport in metric.passports().values():
        assert passport["image_size"] == "32x40"
        assert passport["file_format"] == "none: tensors of the network"
        assert passport["grid"] == "4x5"


def test_ssim_of_tiny_images_is_refused(sample):
    tiny = sample(0)
    tiny.fake, tiny.truth = tiny.fake[:, :5], tiny.truth[:, :5]
    with pytest.raises(DataError, match="SSIM of images of 5x40: both sides must be at least 6"):
        ImageQuality().process(None, [tiny])
    tiny.fake, tiny.truth = (torch.zeros(3, 6, 40) for _ in range(2))
    tiny.warped = None
    metric = ImageQuality()
    metric.process(None, [tiny])
    assert metric.evaluate(1)["ssim"] == pytest.approx(1)
