import pytest
import torch

from mcltoolkit.metrics.collapse import copies, saturation, structure_correlation
from mcltoolkit.structures import DiscriminatorPass


def test_correlation_is_of_detail_and_not_of_colour():
    image = torch.rand(2, 3, 32, 32)
    assert structure_correlation(image, image).tolist() == pytest.approx([1, 1])
    assert structure_correlation(image, -image).tolist() == pytest.approx([-1, -1])
    recoloured = 0.5 * image + torch.tensor([0.4, -0.3, 0.1]).view(1, 3, 1, 1)
    assert structure_correlation(image, recoloured).tolist() == pytest.approx([1, 1])
    # independent noise: about 1 / sqrt(3 * 32 * 32)
    assert structure_correlation(image, torch.rand(2, 3, 32, 32)).abs().max() < 0.1
    flat = torch.full((2, 3, 32, 32), 0.7)
    assert structure_correlation(flat, flat).tolist() == pytest.approx([0, 0], abs=1e-5)


def test_correlation_equals_a_plain_formula():
    """Windows of 3: each pixel less the mean of its neighbours that exist."""
    first, second = torch.rand(1, 1, 5, 4), torch.rand(1, 1, 5, 4)

    def detail(image):
        found = []
        for y in range(5):
            for x in range(4):
                near = image[0, 0, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                found.append(float(image[0, 0, y, x] - near.mean()))
        return found

    a, b = detail(first), detail(second)
    dot = sum(i * j for i, j in zip(a, b, strict=True))
    expected = dot / (sum(i * i for i in a) * sum(j * j for j in b)) ** 0.5
    assert structure_correlation(first, second).item() == pytest.approx(expected, rel=1e-5)


def test_only_samples_that_tell_are_counted(scenes):
    batch = scenes(4, paired=torch.tensor([False, True, False, False]))
    batch.exemplar, batch.truth = torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)
    batch.truth[3] = batch.exemplar[3]  # the same picture: a copy would be right
    fake = batch.truth.clone()
    fake[2] = batch.exemplar[2]
    assert copies(batch, fake).tolist() == [0, 0, 1]
    assert copies(batch, batch.exemplar).tolist() == [1, 1, 1]
    assert copies(batch.as_paired(), batch.exemplar) is None
    batch.truth = None
    assert copies(batch, fake).tolist() == [0, 1, 1], "fake 3 is the exemplar as well"


def test_colours_of_the_exemplar_in_the_layout_of_the_condition_are_no_copy(scenes):
    """The scenes' truth is painted in another style; the exemplar's pixels at random places stand
    for its style in another layout."""
    batch = scenes(2, paired=torch.tensor([False, False]))
    shuffled = batch.exemplar.flatten(2)[:, :, torch.randperm(32 * 32)].unflatten(2, (32, 32))
    assert copies(batch, shuffled).sum() == 0
    assert copies(batch, batch.truth).sum() == 0


def passes(*scores):
    return DiscriminatorPass([[torch.tensor(s).view(1, 1, 1, -1)] for s in scores])


def test_saturation_is_the_smaller_share_averaged_over_scales():
    fake = passes([-2.0, -1.5, 0.0, 3.0], [-2.0, -2.0])
    real = passes([2.0, 2.0, 2.0, 0.0], [2.0, 0.5])
    assert saturation(fake, real, (-1, 1)).item() == pytest.approx((0.5 + 0.5) / 2)
    assert saturation(fake, real, (-1.7, 1)).item() == pytest.approx((0.25 + 0.5) / 2)
    everything_real = saturation(passes([5.0]), passes([5.0]), (-1, 1))
    assert everything_real.item() == 0
    assert saturation(passes([-5.0]), passes([5.0]), (-1, 1)).item() == 1
