"""Whether a written model gives the outputs of the model in memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.export.capture import ExportedNetwork
from mcltoolkit.export.signature import OUTPUTS, Signature, sample_inputs
from mcltoolkit.models.translator import Translator

Run = Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]]
CASES = tuple((kind, batch) for kind in ("noise", "scene") for batch in (1, 3))
TOLERANCE = 1e-4


def check_tolerance(tolerance: float) -> None:
    """Check, before any work, that a difference can be measured against `tolerance`.

    Raises:
        ConfigError: it is negative, infinite or not a number.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(
            f"--tolerance is {tolerance:g}; allowed are finite numbers from 0, on images in "
            f"[-1, 1]; the default is {TOLERANCE:g}"
        )


def deviations(
    run: Run,
    translator: Translator,
    signature: Signature,
    tolerance: float = TOLERANCE,
    what: str = "the exported model",
) -> dict[str, float]:
    """The largest absolute difference of each output to the translator's, over all `CASES`.

    Outputs are images in [-1, 1], computed in float32 on the CPU; the batches are of other sizes
    than the one that the graph was captured with.

    Args:
        run: inputs by name -> outputs in the order of `OUTPUTS`.
        translator: the model in memory, on the CPU.
        tolerance: largest difference allowed.
        what: its name in the message.

    Raises:
        ConfigError: a larger difference, another shape, or values that are not finite, whatever
            the tolerance.
    """
    check_tolerance(tolerance)
    reference = ExportedNetwork(translator).eval()
    worst = dict.fromkeys(OUTPUTS, 0.0)
    for seed, (kind, batch) in enumerate(CASES):
        inputs = sample_inputs(signature, batch, kind, seed)
        with torch.no_grad():
            expected = reference(**inputs)
        if not all(value.isfinite().all() for value in expected):
            raise ConfigError(
                f"the model in memory gives values that are not finite, on made-up inputs "
                f"({kind}); nothing was written. Look at the weights of this checkpoint, or give "
                f"one of an earlier step"
            )
        for name, ours, theirs in zip(OUTPUTS, expected, run(inputs), strict=True):
            worst[name] = max(worst[name], _difference(ours, theirs))
    if not all(value <= tolerance for value in worst.values()):
        own = _rounding(reference, signature)
        raise ConfigError(
            f"{what} gives other outputs than the model in memory: largest difference "
            f"{_listed(worst)}, allowed is {tolerance:g} on images in [-1, 1]; float32 against "
            f"float64 in memory differs by {_listed(own)}. Nothing was written. Where the two are "
            f"alike, this model magnifies rounding, and --tolerance can be raised; otherwise leave "
            f"this format out or take another --opset"
        )
    return worst


@torch.no_grad()
def _rounding(reference: ExportedNetwork, signature: Signature) -> dict[str, float]:
    """How far the model in memory is from itself in float64."""
    exact = copy.deepcopy(reference).double()
    worst = dict.fromkeys(OUTPUTS, 0.0)
    for seed, (kind, batch) in enumerate(CASES):
        inputs = sample_inputs(signature, batch, kind, seed)
        doubled = exact(**{name: value.double() for name, value in inputs.items()})
        for name, ours, theirs in zip(OUTPUTS, reference(**inputs), doubled, strict=True):
            worst[name] = max(worst[name], _difference(ours, theirs))
    return worst


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1e}" for name, value in values.items())


def _difference(ours: Tensor, theirs: Tensor) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    difference = (ours - theirs).abs().max().item()
    return difference if difference == difference else float("inf")
