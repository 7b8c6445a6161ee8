"""Spectral norm as a parametrization that knows its arithmetic, so that convolutions can spare the
normalised weight and inference folds it away.

Miyato et al., ICLR 2018. State names, initial vectors and power iterations are those of
`torch.nn.utils.parametrizations.spectral_norm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mcltoolkit import ops
from mcltoolkit.ops.spectral import power_iteration, spectral_value
from mcltoolkit.precision import without_autocast

_FIRST_ITERATIONS = 15
Module = TypeVar("Module", bound=nn.Module)


class SpectralNorm(nn.Module):
    """W -> W / sigma, sigma an estimate of W's largest singular value; a row is an output channel.

    In training each reading first runs one power iteration, unless it stands still, see
    `vectors_held`.

    Args:
        weight: W, (out, in, h, w).
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows = weight.detach().flatten(1)
        u, v = rows.new_empty(rows.shape[0]).normal_(), rows.new_empty(rows.shape[1]).normal_()
        self.register_buffer("_u", F.normalize(u, dim=0))
        self.register_buffer("_v", F.normalize(v, dim=0))
        self.held = False
        self.advance(weight, _FIRST_ITERATIONS)

    def advance(self, weight: Tensor, iterations: int = 1) -> Tensor:
        """Run power iterations, in training or not; returns sigma, without graph."""
        return power_iteration(weight, self._u, self._v, iterations)

    def sigma(self, weight: Tensor) -> Tensor:
        """sigma, without graph, after the power iteration that is due."""
        with without_autocast(weight):
            if self.training and not self.held:
                return self.advance(weight)
            return spectral_value(weight, self._u, self._v)

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight."""
        sigma = self.sigma(weight)
        return ops.spectral_weight(weight, self._u, self._v, sigma)

    def right_inverse(self, value: Tensor) -> Tensor:
        """What is assigned to the weight becomes the one to be normalised."""
        return value


def spectral(conv: Module) -> Module:
    """`conv` with spectral norm on its weight; its state has `parametrizations.weight.original`
    and the singular vectors `parametrizations.weight.0._u` and `_v`.

    On the meta device, where networks are built for their shapes alone, the norm is left out: its
    power iterations take seconds there and yield nothing.
    """
    weight = conv.weight
    assert isinstance(weight, Tensor)
    norm = _SpectralShapes(weight) if weight.is_meta else SpectralNorm(weight)
    parametrize.register_parametrization(conv, "weight", norm)
    return conv


def spectral_norm_of(module: nn.Module) -> SpectralNorm | None:
    """The spectral norm of a module's weight, where that is all that the weight goes through."""
    if not parametrize.is_parametrized(module, "weight"):
        return None
    steps = module.parametrizations["weight"]  # type: ignore[index]
    return steps[0] if len(steps) == 1 and isinstance(steps[0], SpectralNorm) else None


@contextmanager
def vectors_held(module: nn.Module) -> Iterator[None]:
    """Inside, no power iteration runs in `module`: a pass normalises as the one before did."""
    norms = [part for part in module.modules() if isinstance(part, SpectralNorm)]
    before = [norm.held for norm in norms]
    for norm in norms:
        norm.held = True
    try:
        yield
    finally:
        for norm, held in zip(norms, before, strict=True):
            norm.held = held


@torch.no_grad()
def fold_parametrizations(module: Module) -> Module:
    """Make parametrised tensors below `module` plain parameters of their present value.

    In evaluation outputs stay the same, and no weight is normalised again for each of them. A
    spectrally normalised weight is divided in place, without a second copy. State names become
    `weight`: this is for networks that will not be trained or saved.
    """
    for part in list(module.modules()):
        if not parametrize.is_parametrized(part):
            continue
        lists = part.parametrizations
        assert isinstance(lists, nn.ModuleDict)
        values = {}
        for name in lists:
            norm = spectral_norm_of(part) if name == "weight" else None
            if norm is None:
                values[name] = getattr(part, name).detach()
            else:
                original = lists[name].original
                assert isinstance(original, Tensor)
                values[name] = original.div_(spectral_value(original, norm._u, norm._v)).detach()
        # torch's remove_parametrizations would change the class that a copy of the module shares
        # with its original, and break that
        part.__class__ = parametrize.type_before_parametrizations(part)
        del part.parametrizations
        for name, value in values.items():
            part.register_parameter(name, nn.Parameter(value))
    return module


class _SpectralShapes(nn.Module):
    """State names and shapes of spectral norm without its arithmetic."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows = weight.flatten(1)
        self.register_buffer("_u", torch.empty_like(rows[:, 0]))
        self.register_buffer("_v", torch.empty_like(rows[0]))

    def forward(self, weight: Tensor) -> Tensor:
        if not weight.is_meta:
            raise RuntimeError(
                "this network was built on the meta device, for its shapes; build it on a real one"
            )
        return weight
