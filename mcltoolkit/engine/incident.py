"""The file of a training step that was not finite: all that computes it again, elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from mcltoolkit.engine.diagnosis import Finding, Moment

FORMAT = "mcltoolkit non-finite step 1"
PARTS = {
    "side": str, "iteration": int, "rank": int, "ranks": int, "batch": dict, "progress": float,
    "random": dict, "buffers": dict, "terms": dict, "finding": dict, "state_dict": dict,
    "features": list, "config": dict, "gradients": str, "device": str,
}  # fmt: skip


def content(
    moment: Moment,
    finding: Finding,
    state: Mapping[str, Tensor],
    features: Sequence[Mapping[str, Tensor]],
    config: Mapping[str, Any],
    **facts: Any,
) -> dict[str, Any]:
    """What a file of an incident holds, tensors on the CPU.

    Args:
        moment: what the step started from.
        finding: what was first non-finite.
        state: the model's weights; its buffers are replaced by the moment's.
        features: states of the fixed networks that the losses read.
        config: plain, see `plain_config`.
        facts: iteration, rank, ranks, gradients (see `diagnose`).
    """

    def on_cpu(value: Any) -> Any:
        return value.detach().cpu() if isinstance(value, Tensor) else value

    buffers = {name: on_cpu(value) for name, value in moment.buffers.items()}
    return {
        "format": FORMAT,
        "side": moment.side,
        "batch": {f.name: on_cpu(getattr(moment.batch, f.name)) for f in fields(moment.batch)},
        "fake": on_cpu(moment.fake),
        "progress": float(moment.progress),
        "random": moment.random,
        "buffers": buffers,
        "dtype": moment.dtype,
        "device": moment.batch.exemplar.device.type,
        "terms": {name: on_cpu(term) for name, term in moment.terms.items()},
        "finding": asdict(finding),
        "state_dict": {name: buffers.get(name, on_cpu(v)) for name, v in state.items()},
        "features": [{name: on_cpu(v) for name, v in part.items()} for part in features],
        "config": dict(config),
        "torch": str(torch.__version__),
        **facts,
    }


def same_terms(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Whether loss terms agree to the bit, NaN being NaN."""
    return first.keys() == second.keys() and all(
        torch.equal(a.cpu(), b.cpu()) or bool(a.isnan().all() and b.isnan().all())
        for a, b in ((first[name], second[name]) for name in first)
    )
