"""What the toolkit relies on in a loss."""

import torch

from mcltoolkit.testing import LossTests
from my_plugin.loss import mean_colour_distance


class TestMyPart(LossTests):
    component = "MyPart"
    plugins = ("my_plugin",)


def test_the_value_of_plain_colours() -> None:
    image, other = torch.full((2, 3, 4, 6), 0.5), torch.full((2, 3, 8, 8), -0.25)
    assert mean_colour_distance(image, other) == 0.75
    assert mean_colour_distance(image, image) == 0
