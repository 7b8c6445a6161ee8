"""Conformance tests of correspondences: the alignment, and what a match promises."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.registry import CORRESPONDENCES
from mcltoolkit.structures import Alignment, Batch, Match
from mcltoolkit.testing.component import (
    ComponentTests,
    Size,
    one_hot,
    random_labels,
    tensors_in,
)


class CorrespondenceTests(ComponentTests):
    """Conformance tests of a correspondence (`mcltoolkit.interfaces.Correspondence`).

    Class attributes:
        in_channels: D, channels of the descriptors; 0 for a module that gets none.
        stride: image pixels per grid cell of the descriptors.
        supports: of `warped_labels` and `cycle`, those that the module makes.
        other_exemplar: size (H, W) of an exemplar whose grid differs; None for a module that takes
            exemplars of the condition's size only.
        match_tolerance: largest deviation of the match from what it promises, such as rows that
            sum to 1.
    """

    kind = "correspondence"
    registry = CORRESPONDENCES
    amp_tolerance = None  # at a low temperature the rounding of bfloat16 features moves the match
    in_channels: ClassVar[int] = 6
    stride: ClassVar[int] = 4
    supports: ClassVar[tuple[str, ...]] = ("warped_labels", "cycle")
    other_exemplar: ClassVar[Size | None] = (64, 32)
    match_tolerance: ClassVar[float] = 1e-4

    def filled_in(self) -> dict[str, int]:
        """See `ComponentTests`."""
        return {"in_channels": self.in_channels, "condition_channels": self.condition_channels}

    def make_inputs(
        self, size: Size, batch: int = 2, exemplar_size: Size | None = None
    ) -> dict[str, Any]:
        """See `ComponentTests`."""
        other = exemplar_size or size

        def descriptors(size: Size) -> Tensor | None:
            if not self.in_channels:
                return None
            grid = (size[0] // self.stride, size[1] // self.stride)
            values = torch.randn(batch, self.in_channels, *grid)
            return F.normalize(values, dim=1).requires_grad_()

        def conditions(size: Size) -> Tensor:
            return one_hot(
                random_labels(batch, self.condition_channels, size), self.condition_channels
            )

        return {
            "condition_descriptors": descriptors(size),
            "exemplar_descriptors": descriptors(other),
            "batch": Batch(
                names=[str(index) for index in range(batch)],
                exemplar=torch.rand(batch, 3, *other) * 2 - 1,
                paired=torch.zeros(batch, dtype=torch.bool),
                condition=conditions(size),
                exemplar_condition=conditions(other),
                truth=torch.rand(batch, 3, *size) * 2 - 1,
            ),
            "outputs": frozenset(self.supports),
        }

    def read_outputs(self, output: Any) -> dict[str, Tensor]:
        """See `ComponentTests`."""
        names = ("warped", "warped_labels", "cycle", "guidance")
        found = {name: getattr(output, name) for name in names}
        found |= tensors_in(output.extras)
        return {name: values for name, values in found.items() if values is not None}

    def check_outputs(self, module: Any, inputs: dict[str, Any], output: Any) -> None:
        """See `ComponentTests`."""
        assert isinstance(output, Alignment), f"returns {type(output).__name__}"
        batch: Batch = inputs["batch"]
        assert batch.condition is not None
        size = batch.condition.shape[-2:]
        assert tuple(output.warped.shape) == (len(batch), 3, *size), (
            f"warped is {tuple(output.warped.shape)}, expected {(len(batch), 3, *size)}"
        )
        unnamed = set(output.extras) - set(getattr(module, "provides", ()))
        assert not unnamed, f"extras {sorted(unnamed)} are not in `provides`"
        guidance = getattr(module, "guidance_channels", 3)
        if output.guidance is not None:
            expected = (len(batch), guidance, *size)
            assert tuple(output.guidance.shape) == expected, (
                f"guidance is {tuple(output.guidance.shape)}, expected {expected}"
            )
        else:
            assert guidance == 3, f"guidance_channels is {guidance}, but there is no guidance"
        for name in self.supports:
            assert getattr(output, name) is not None, f"{name} was asked for and is None"
        if output.warped_labels is not None:
            total = output.warped_labels.sum(1)
            assert output.warped_labels.shape[1] == self.condition_channels
            error = float((total - 1).abs().max())
            assert error < self.match_tolerance, f"warped one-hot labels sum to 1 +- {error:.2g}"
        if output.cycle is not None:
            assert output.cycle_target is not None, "cycle without cycle_target"
            assert output.cycle.shape == output.cycle_target.shape
        self.check_match(output.match, len(batch))

    def check_match(self, match: Match, batch: int) -> None:
        """Rows of weights sum to 1, and the warps are weighted means by them."""
        here, there = (h * w for h, w in (match.grid, match.exemplar_grid))
        weights = match.probabilities()
        assert tuple(weights.shape) == (batch, here, there), f"probabilities {weights.shape}"
        assert weights.dtype in (torch.float32, torch.float64), f"weights in {weights.dtype}"
        assert weights.min() >= 0, "a negative weight"
        self._near(weights.sum(2), torch.ones(batch, here), "sums of the rows of weights")
        rows = torch.tensor([here - 1, 0, here // 2])
        self._near(match.probabilities(rows), weights[:, rows], "weights of chosen rows")
        values = torch.randn(batch, 4, there)
        expected = torch.einsum("bnm,bcm->bcn", weights, values.to(weights.dtype))
        self._near(match.warp(values), expected, "warp, against its weights times the values,")
        back = match.warp_back(torch.ones(batch, 2, here))
        assert tuple(back.shape) == (batch, 2, there), f"warp_back gives {tuple(back.shape)}"
        assert back.isfinite().all(), "warp_back is not finite"
        assert back.max() <= 1 + self.match_tolerance, "warp_back makes ones larger than 1"

    def test_asked_for_nothing(self) -> None:
        """Without wishes the match and the warped exemplar are there."""
        module = self.build().eval()
        inputs = {**self.inputs(), "outputs": frozenset()}
        with torch.no_grad():
            output = module(*inputs.values())
        assert output.warped.shape == inputs["batch"].exemplar.shape

    def test_provides(self) -> None:
        """Each output named in `provides` is made when it is asked for."""
        module = self.build().eval()
        wanted = frozenset(getattr(module, "provides", ()))
        inputs = self.inputs()
        with torch.no_grad():
            output = module(*{**inputs, "outputs": wanted | inputs["outputs"]}.values())
        missing = [name for name in wanted if output.extras.get(name) is None]
        assert not missing, f"{missing} are in `provides`, asked for, and not in the extras"

    def test_exemplar_of_another_size(self) -> None:
        """The exemplar's grid may differ from the condition's."""
        if self.other_exemplar is None:
            return
        module = self.build().eval()
        torch.manual_seed(1)
        inputs = self.make_inputs(self.sizes[0], exemplar_size=self.other_exemplar)
        with torch.no_grad():
            self.check_outputs(module, inputs, module(*inputs.values()))

    def test_prepared_exemplar(self) -> None:
        """An exemplar's side that was computed before gives the same alignment."""
        module = self.build().eval()
        prepare: Any = getattr(module, "prepare_exemplar", None)
        if prepare is None:
            return
        inputs = self.inputs()
        with torch.no_grad():
            prepared = prepare(inputs["exemplar_descriptors"], inputs["batch"].exemplar_condition)
            assert len(prepared) == len(inputs["batch"]), "B does not come first"
            expected = self.read_outputs(module(*inputs.values()))
            found = self.read_outputs(module(*inputs.values(), prepared=prepared))
            for name, values in expected.items():
                self._near(found[name], values, f"{name} of a prepared exemplar")

    def test_training_builds_on_fresh_matches(self) -> None:
        """A match looked at without a graph first still trains."""
        module = self.build().train()
        output = module(*self.inputs().values())
        with torch.no_grad():
            output.match.probabilities()
        values = torch.randn(len(output.warped), 3, output.match.exemplar_grid[0]
                             * output.match.exemplar_grid[1])  # fmt: skip
        warped = output.match.warp(values)
        trained = any(p.requires_grad for p in module.parameters()) or self.in_channels
        if trained:
            assert warped.requires_grad, "the match carries no gradient"

    def _near(self, found: Tensor, expected: Tensor, what: str) -> None:
        assert found.shape == expected.shape, f"{what} {tuple(found.shape)}"
        error = float((found.double() - expected.double()).abs().max())
        assert error < self.match_tolerance, f"{what} is {error:.2g} off"
