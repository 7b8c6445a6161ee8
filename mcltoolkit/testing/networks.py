"""Conformance tests of encoders, descriptors, generators and discriminators."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mcltoolkit.registry import CORRESPONDENCES, DISCRIMINATORS, ENCODERS, GENERATORS
from mcltoolkit.structures import DiscriminatorPass, Painting
from mcltoolkit.testing.component import (
    ComponentTests,
    Size,
    one_hot,
    random_labels,
    refuses,
    tensors_in,
)


class EncoderTests(ComponentTests):
    """Conformance tests of an encoder (`mcltoolkit.interfaces.Encoder`).

    Class attributes:
        in_channels: of the input; 3 for an encoder that takes images only.
    """

    kind = "encoder"
    registry = ENCODERS
    in_channels: ClassVar[int] = 5

    def filled_in(self) -> dict[str, int]:
        """See `ComponentTests`."""
        return {"in_channels": self.in_channels}

    def make_inputs(self, size: Size, batch: int = 2) -> dict[str, Any]:
        """See `ComponentTests`."""
        return {"x": torch.randn(batch, self.in_channels, *size)}

    def read_outputs(self, output: Any) -> dict[str, Tensor]:
        """See `ComponentTests`."""
        return {"features": output}

    def check_outputs(self, module: Any, inputs: dict[str, Any], output: Any) -> None:
        """See `ComponentTests`."""
        batch, _, height, width = inputs["x"].shape
        expected = (batch, module.out_channels, height // module.stride, width // module.stride)
        assert tuple(output.shape) == expected, (
            f"features of a {height}x{width} image are {tuple(output.shape)}, but out_channels "
            f"{module.out_channels} and stride {module.stride} say {expected}"
        )

    def test_refuses_sizes(self) -> None:
        """A size that the stride does not divide is an error that a user understands."""
        module: Any = self.build().eval()
        if module.stride > 1:
            height, width = self.sizes[0]
            refuses(module, self.inputs((height + 1, width)), f"a {height + 1}x{width} image")


class DescriptorTests(ComponentTests):
    """Conformance tests of a descriptor (`mcltoolkit.interfaces.Descriptor`); `sizes` are those of
    the grid.

    Class attributes:
        in_channels: channels of the features.
    """

    kind = "descriptor"
    registry = CORRESPONDENCES
    in_channels: ClassVar[int] = 6
    sizes = ((8, 8), (8, 12))

    def filled_in(self) -> dict[str, int]:
        """See `ComponentTests`."""
        return {"in_channels": self.in_channels}

    def make_inputs(self, size: Size, batch: int = 2) -> dict[str, Any]:
        """See `ComponentTests`."""
        features = nn.functional.normalize(torch.randn(batch, self.in_channels, *size), dim=1)
        return {"features": features.requires_grad_()}

    def read_outputs(self, output: Any) -> dict[str, Tensor]:
        """See `ComponentTests`."""
        return {"descriptor": output}

    def check_outputs(self, module: Any, inputs: dict[str, Any], output: Any) -> None:
        """See `ComponentTests`."""
        batch, _, *grid = inputs["features"].shape
        expected = (batch, module.out_channels, *grid)
        assert tuple(output.shape) == expected, f"{tuple(output.shape)}, expected {expected}"


class GeneratorTests(ComponentTests):
    """Conformance tests of a generator (`mcltoolkit.interfaces.Generator`).

    Class attributes:
        guidance_channels: channels of the warped exemplar.
        reads_warped, reads_condition: whether the image depends on that input.
    """

    kind = "generator"
    registry = GENERATORS
    guidance_channels: ClassVar[int] = 3
    reads_warped: ClassVar[bool] = True
    reads_condition: ClassVar[bool] = True

    def filled_in(self) -> dict[str, int]:
        """See `ComponentTests`."""
        return {"context_channels": self.guidance_channels + self.condition_channels}

    def make_inputs(self, size: Size, batch: int = 2) -> dict[str, Any]:
        """See `ComponentTests`."""
        warped = torch.rand(batch, self.guidance_channels, *size) * 2 - 1
        labels = random_labels(batch, self.condition_channels, size)
        condition = one_hot(labels, self.condition_channels)
        return {
            "warped": warped.requires_grad_(self.reads_warped),
            "condition": condition.requires_grad_(self.reads_condition),
        }

    def read_outputs(self, output: Any) -> dict[str, Tensor]:
        """See `ComponentTests`."""
        if not isinstance(output, Painting):
            return {"image": output}
        return {"image": output.image, **tensors_in(output.extras)}

    def check_outputs(self, module: Any, inputs: dict[str, Any], output: Any) -> None:
        """See `ComponentTests`."""
        condition = inputs["condition"]
        image = output.image if isinstance(output, Painting) else output
        expected = (len(condition), 3, *condition.shape[-2:])
        assert tuple(image.shape) == expected, f"{tuple(image.shape)}, expected {expected}"
        assert image.abs().max() <= 1, "the image leaves [-1, 1]"
        if isinstance(output, Painting):
            unnamed = set(output.extras) - set(getattr(module, "provides", ()))
            assert not unnamed, f"extras {sorted(unnamed)} are not in `provides`"

    def test_refuses_sizes(self) -> None:
        """A size that the stride does not divide is an error that a user understands."""
        module: Any = self.build().eval()
        if getattr(module, "stride", 1) > 1:
            height, width = self.sizes[0]
            refuses(module, self.inputs((height + 1, width)), f"a {height + 1}x{width} image")


class DiscriminatorTests(ComponentTests):
    """Conformance tests of a discriminator (`mcltoolkit.interfaces.Discriminator`)."""

    kind = "discriminator"
    registry = DISCRIMINATORS
    sizes = ((64, 64), (64, 96))

    def filled_in(self) -> dict[str, int]:
        """See `ComponentTests`."""
        return {"in_channels": self.condition_channels + 3}

    def make_inputs(self, size: Size, batch: int = 2) -> dict[str, Any]:
        """See `ComponentTests`."""
        labels = random_labels(batch, self.condition_channels, size)
        condition = one_hot(labels, self.condition_channels)
        image = torch.rand(batch, 3, *size) * 2 - 1
        return {"condition": condition, "image": image.requires_grad_()}

    def read_outputs(self, output: Any) -> dict[str, Tensor]:
        """See `ComponentTests`."""
        return {
            f"scale {s} layer {i}": layer
            for s, layers in enumerate(output.scales)
            for i, layer in enumerate(layers)
        }

    def check_outputs(self, module: Any, inputs: dict[str, Any], output: Any) -> None:
        """See `ComponentTests`."""
        assert isinstance(output, DiscriminatorPass), f"returns {type(output).__name__}"
        assert output.scales, "no scale"
        for layers in output.scales:
            assert layers, "a scale without layers"
            for layer in layers:
                assert layer.ndim == 4, f"a layer of shape {tuple(layer.shape)}"
        for scores in output.scores:
            assert scores.shape[1] == 1, f"scores of {scores.shape[1]} channels; 1 is allowed"
