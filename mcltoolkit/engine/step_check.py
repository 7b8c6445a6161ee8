"""Keeps infinite and undefined losses and gradients out of weights and optimisers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from mcltoolkit.engine import random_state
from mcltoolkit.engine.agreement import any_rank
from mcltoolkit.engine.diagnosis import Finding, Moment, diagnose, summed
from mcltoolkit.engine.hooks.audit import unchanged
from mcltoolkit.engine.incident import same_terms
from mcltoolkit.engine.sharding import local
from mcltoolkit.models.exemplar_gan import unwrap
from mcltoolkit.models.step_guard import StepGuard
from mcltoolkit.structures import Batch


@dataclass
class Incident:
    """A step that was not finite, as one rank sees it.

    Attributes:
        moment: what the step started from on this rank; of accumulated steps the first that is not
            finite.
        here: this rank's own losses or gradients are not finite.
        gradients: how these were looked at, see `diagnose`.
        finding: None where it was not looked for.
        repeats: computing it again gave the same loss terms to the bit.
    """

    moment: Moment
    here: bool
    gradients: str
    finding: Finding | None = None
    repeats: bool = True


class StepCheck(StepGuard):
    """Looks at the losses and gradients of each side after its backward pass, and lets its
    optimiser step only if all of them are finite on all ranks.

    One value is read from the device for an optimiser step, and ranks exchange two flags. A step
    that is left out changes no parameter and no moment of the optimiser; the buffers (running
    statistics, singular vectors) go back to what they were before its forward pass; random numbers
    go on. Of a float16 scaler only the losses are looked at: infinite gradients are how it searches
    its scale, until that has come down to 1.

    Args:
        model: as the Runner has it, maybe wrapped.
        optim_wrapper: of the sides `generator` and `discriminator`.
        on_incident: called with each `Incident`, on all ranks, before anything is put back.
        diagnoses: how many incidents are computed again to find their cause.
    """

    def __init__(
        self,
        model: Any,
        optim_wrapper: OptimWrapperDict,
        on_incident: Callable[[Incident], None],
        diagnoses: int,
    ) -> None:
        self.wrapped = model
        self.model = unwrap(model)
        self.wrappers: dict[str, OptimWrapper] = dict(optim_wrapper.items())
        self.on_incident = on_incident
        self.diagnoses = diagnoses
        self.dropped = frozenset()
        self._windows: dict[str, list[Moment]] = {side: [] for side in self.wrappers}
        self._totals: dict[str, list[Tensor]] = {side: [] for side in self.wrappers}
        self._stash: dict[str, list[dict[str, Tensor]]] = {side: [] for side in self.wrappers}
        self._current: Moment | None = None
        self._steps: dict[str, Callable[..., None]] = {}

    def arm(self) -> None:
        """Stand between backward pass and optimiser."""
        self.model.guard = self
        for side, wrapper in self.wrappers.items():
            self._steps[side] = wrapper.step
            wrapper.step = self._guarded(side, wrapper.step)  # type: ignore[method-assign]

    def disarm(self) -> None:
        """Leave everything as it was before `arm`."""
        self.model.guard = StepGuard()
        for side, step in self._steps.items():
            self.wrappers[side].step = step  # type: ignore[method-assign]

    def begin(self, side: str, batch: Batch, fake: Tensor | None = None) -> None:
        """Note what this side starts from; of accumulated steps all are kept until the update."""
        if side == "generator":
            self.dropped = frozenset()
        place, stash = len(self._windows[side]), self._stash[side]
        now = dict(self._buffers())
        if place == len(stash):
            stash.append({name: torch.empty_like(buffer) for name, buffer in now.items()})
        if now:
            torch._foreach_copy_([stash[place][name] for name in now], list(now.values()))
        dtype = getattr(self.wrappers[side], "dtype", None)
        self._current = Moment(
            side,
            batch,
            None if fake is None else fake.detach(),
            self.model.progress,
            random_state.capture(),
            stash[place],
            None if dtype is None else str(dtype).removeprefix("torch."),
        )
        self._windows[side].append(self._current)

    def computed(self, terms: dict[str, Tensor], total: Tensor) -> None:
        """Note the losses, which are still on the device."""
        moment = self._current
        assert moment is not None
        moment.terms = {name: term.detach() for name, term in terms.items()}
        self._totals[moment.side].append(total.detach())

    def logged(self, log: dict[str, Tensor]) -> dict[str, Tensor]:
        """A step that was left out does not spoil the log's means."""
        if not self.dropped:
            return log
        return {name: value for name, value in log.items() if bool(torch.isfinite(value))}

    def _buffers(self) -> dict[str, Tensor]:
        with self.model.without_wrappers():
            return dict(self.model.named_buffers())

    def _guarded(self, side: str, step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def guarded(**kwargs: Any) -> None:
            if self._allows(side):
                step(**kwargs)

        return guarded

    def _allows(self, side: str) -> bool:
        window, totals = self._windows[side], self._totals[side]
        if not totals:
            return True
        bad_loss, bad_gradient = self._flags(side, totals)
        loss, gradient = any_rank(bad_loss, bad_gradient)
        anywhere = loss or gradient
        if anywhere:
            self.dropped = frozenset({side})
            try:
                self._report(side, bad_loss, bad_gradient, self._ways(gradient))
            finally:
                self._put_back(side)
        window.clear()
        totals.clear()
        return not anywhere

    def _flags(self, side: str, totals: list[Tensor]) -> tuple[bool, bool]:
        """Whether a loss, or a gradient, of this rank is not finite: one read from the device."""
        gradients = [
            part
            for group in self.wrappers[side].optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None and (part := local(parameter.grad)).numel()
        ]
        bad_loss = ~torch.isfinite(torch.stack(totals)).all()
        if not gradients:
            return bool(bad_loss), False
        bad_gradient = _not_finite(gradients, 2.0)
        scaler = self._scaler(side)
        if scaler is not None:
            bad_gradient &= scaler.scale(torch.ones_like(totals[0])) <= 1
        loss, gradient = torch.stack([bad_loss, bad_gradient]).tolist()
        # the sum of squares overflows of large finite gradients; the largest magnitude takes longer
        return loss, gradient and bool(_not_finite(gradients, float("inf")))

    def _scaler(self, side: str) -> Any:
        scaler = getattr(self.wrappers[side], "scaler", None)
        return scaler if scaler is not None and scaler.is_enabled() else None

    def _report(self, side: str, bad_loss: bool, bad_gradient: bool, gradients: str) -> None:
        window = self._windows[side]
        found: list[Finding | None] = [None] * len(window)
        repeats = [True] * len(window)
        if self.diagnoses > 0:
            self.diagnoses -= 1
            for place, moment in enumerate(window):
                terms, found[place] = self._diagnose(moment, gradients)
                repeats[place] = same_terms(terms, moment.terms)
        of_loss = [not bool(torch.isfinite(summed(moment.terms))) for moment in window]
        of_any = [finding is not None and finding.cause is not None for finding in found]
        place = (of_loss if any(of_loss) else [*of_any[:-1], True]).index(True)
        finding = found[place]
        here = bad_loss or (bad_gradient if finding is None else finding.cause is not None)
        self.on_incident(Incident(window[place], here, gradients, finding, repeats[place]))

    def _diagnose(self, moment: Moment, gradients: str) -> tuple[dict[str, Tensor], Finding]:
        whole = getattr(self.wrapped, "gathered", nullcontext)  # of a sharded model
        agree = (lambda flag: any_rank(flag)[0]) if get_world_size() > 1 else None
        with random_state.preserved(), whole(), unchanged(self.model):
            return diagnose(self.model, moment, gradients, agree)

    def _ways(self, bad_gradient: bool) -> str:
        """How gradients are looked at: ranks may differ in the losses that have one, but not in
        the passes of layers that wait for each other."""
        if not bad_gradient:
            return ""
        waiting = hasattr(self.wrapped, "gathered") or any(
            "Sync" in type(module).__name__ for module in self.model.modules()
        )
        return "sum" if waiting and get_world_size() > 1 else "each"

    def _put_back(self, side: str) -> None:
        """What the passes of a step that is left out have changed."""
        before = self._windows[side][0].buffers
        now = self._buffers()
        if side == "discriminator":  # the generator's step of this iteration stands
            now = {name: b for name, b in now.items() if name.startswith("discriminator.")}
        if now:
            torch._foreach_copy_(list(now.values()), [before[name] for name in now])
        other = self.wrappers.get("discriminator")
        if side == "generator" and other is not None:
            other.zero_grad()
            other._inner_count += 1  # its backward pass of this iteration, which does not come
            self._windows["discriminator"].clear()
            self._totals["discriminator"].clear()


def _not_finite(gradients: list[Tensor], order: float) -> Tensor:
    """Whether a norm of any is not finite; stays on the device."""
    norms = torch._foreach_norm(gradients, order)
    return ~torch.isfinite(torch.stack([norm.float() for norm in norms])).all()
