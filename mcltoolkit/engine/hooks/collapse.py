"""An alarm for trainings that go on without learning what they are for."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.losses.objective import GeneratorObjective
from mcltoolkit.metrics.collapse import copies, saturation
from mcltoolkit.metrics.match_entropy import match_entropy
from mcltoolkit.models.exemplar_gan import ExemplarGAN, unwrap
from mcltoolkit.registry import HOOKS
from mcltoolkit.structures import Translation

PREFIX = "alarm/"
LIMITS = {
    "match_entropy": (0.95, 0.90),
    "match_coverage": (0.02, 0.04),
    "copied_outputs": (0.50, 0.25),
    "discriminator_saturation": (0.95, 0.85),
}
"""By quantity: the value that raises the alarm, and the one that ends it."""
MEANINGS = {
    "match_entropy": (
        "each position averages nearly all of the exemplar",
        "lower model.correspondence.temperature, or raise the weight of a loss that teaches the "
        "match (model.losses.cyc, mask, mcl)",
    ),
    "match_coverage": (
        "nearly all positions take the same few of the exemplar",
        "raise model.losses.cyc.weight, which asks for the way back, or lower "
        "model.losses.fcst.weight, which can draw all features to one",
    ),
    "copied_outputs": (
        "outputs repeat the exemplar, whatever the condition",
        "raise train_dataloader.dataset.exemplar_choice.retrieved (exemplars other than the truth) "
        "or model.losses.per.weight, or lower model.losses.cxt.weight",
    ),
    "discriminator_saturation": (
        "the discriminator tells all fake images from real ones and teaches nothing more",
        "lower optim_wrapper.discriminator.optimizer.lr, or model.discriminator.base_width",
    ),
}


class Alarm:
    """One quantity: raised by its mean over the last measurements, ended by another value.

    Args:
        raised_at, cleared_at: means; a `raised_at` above `cleared_at` warns of large values, one
            below it of small ones.
        patience: measurements that are averaged; there is no alarm before there are as many.
    """

    def __init__(self, raised_at: float, cleared_at: float, patience: int) -> None:
        self.raised_at = raised_at
        self.cleared_at = cleared_at
        self.large = raised_at > cleared_at
        self.seen: deque[tuple[int, float]] = deque(maxlen=patience)
        self.raised = False

    @property
    def mean(self) -> float:
        """Of the last measurements."""
        return sum(value for _, value in self.seen) / len(self.seen)

    def take(self, step: int, value: float) -> bool | None:
        """Take in a measurement; True if it raises the alarm, False if it ends it, else None."""
        self.seen.append((step, value))
        if len(self.seen) < (self.seen.maxlen or 0):
            return None
        sign = 1 if self.large else -1
        if not self.raised and sign * self.mean > sign * self.raised_at:
            self.raised = True
        elif self.raised and sign * self.mean < sign * self.cleared_at:
            self.raised = False
        else:
            return None
        return self.raised


@HOOKS.register_module()
class CollapseAlarmHook(Hook):
    """Logs signs of a collapse as `alarm/...`, and warns once when one lasts.

    Measured on the main process's part of the batch, of what the step made anyway:

    - `match_entropy`, of a match's rows over log M: near 1 if it averages everything;
    - `match_coverage`, share of exemplar positions that are the best of some condition position;
    - `copied_outputs`, share of the outputs with the fine structure of an exemplar that is not
      theirs (`metrics.collapse.copies`);
    - `discriminator_saturation`, share of scores beyond the adversarial loss's `margins`.

    What a model or batch does not have is not measured. A warning comes again only after the value
    was well again.

    Args:
        interval: steps between measurements.
        begin: steps at the start that raise no alarm; values are logged.
        patience: measurements, whose mean counts.
        limits: {quantity: (raised at, cleared at)}, or None to raise no alarm of it; those left out
            have their defaults, `LIMITS`.

    Raises:
        ConfigError: counts below 1, an unknown quantity, or limits that are no two numbers.
    """

    priority = "LOW"

    def __init__(
        self,
        interval: int = 50,
        begin: int = 1000,
        patience: int = 10,
        limits: Mapping[str, tuple[float, float] | None] | None = None,
    ) -> None:
        for name, value, least in (
            ("interval", interval, 1), ("begin", begin, 0), ("patience", patience, 1)
        ):  # fmt: skip
            if type(value) is not int or value < least:
                raise ConfigError(
                    f"CollapseAlarmHook.{name} is {value!r}; allowed are whole numbers of {least} "
                    f"or more"
                )
        self.interval = interval
        self.begin = begin
        chosen = {**LIMITS, **_checked(limits or {})}
        self.alarms = {n: Alarm(*pair, patience) for n, pair in chosen.items() if pair is not None}
        self.margins: tuple[float, float] | None = None

    def before_train(self, runner: Runner) -> None:
        """Learn from the adversarial loss which scores are settled."""
        self.margins = settled(unwrap(unwrap(runner.model).losses))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look at the step if it is due."""
        if (runner.iter + 1) % self.interval == 0 and is_main_process():
            model: ExemplarGAN = unwrap(runner.model)
            model.watchers.append(self.measure)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Compare what was found with the limits."""
        watchers = unwrap(runner.model).watchers
        if self.measure not in watchers:
            return
        watchers.remove(self.measure)
        step = runner.iter + 1
        for name, alarm in self.alarms.items():
            value = float((outputs or {}).get(PREFIX + name, math.nan))
            if step <= self.begin or not math.isfinite(value):
                continue
            changed = alarm.take(step, value)
            if changed:
                runner.logger.warning(_warning(name, alarm))
            elif changed is False:
                runner.logger.info(f"collapse alarm: {name} is {alarm.mean:.3g}, well again")

    def measure(self, translation: Translation) -> dict[str, Tensor]:
        """Scalars of one step, by name."""
        found = {}
        match = translation.alignment.match
        if match is not None:
            entropy, coverage = match_entropy(match)
            found["match_entropy"] = entropy.mean()
            found["match_coverage"] = coverage.mean()
        copied = copies(translation.batch, translation.fake)
        if copied is not None:
            found["copied_outputs"] = copied.mean()
        fake, real = translation.fake_pass, translation.real_pass
        if fake is not None and real is not None and self.margins is not None:
            found["discriminator_saturation"] = saturation(fake, real, self.margins)
        return {PREFIX + name: value.detach() for name, value in found.items()}


def settled(objective: GeneratorObjective) -> tuple[float, float] | None:
    """The `margins` of the adversarial loss; None without one that has them."""
    margins = [objective.terms[name].margins for name in objective.adversarial]
    return next((pair for pair in margins if pair is not None), None)  # type: ignore[return-value]


def _warning(name: str, alarm: Alarm) -> str:
    meaning, remedy = MEANINGS[name]
    side = "above" if alarm.large else "below"
    return (
        f"collapse alarm: {name} is {alarm.mean:.3g} (mean of {len(alarm.seen)} measurements since "
        f"step {alarm.seen[0][0]}), {side} {alarm.raised_at:g}: {meaning}. Remedy: {remedy}. If "
        f"this is as it should be, set CollapseAlarmHook.limits.{name} in custom_hooks"
    )


def _checked(limits: Mapping[str, Any]) -> dict[str, tuple[float, float] | None]:
    checked: dict[str, tuple[float, float] | None] = {}
    for name, pair in limits.items():
        if name not in LIMITS:
            raise ConfigError(
                f"CollapseAlarmHook.limits names {name!r}{near_matches(name, sorted(LIMITS))}; "
                f"allowed are {', '.join(LIMITS)}"
            )
        if pair is None:
            checked[name] = None
            continue
        numbers = list(pair) if isinstance(pair, list | tuple) else []
        if len(numbers) != 2 or not all(isinstance(n, int | float) for n in numbers):
            numbers = []
        large = LIMITS[name][0] > LIMITS[name][1]
        if not numbers or (numbers[0] > numbers[1]) != large or numbers[0] == numbers[1]:
            order = "first larger than second" if large else "first smaller than second"
            raise ConfigError(
                f"CollapseAlarmHook.limits.{name} is {pair!r}; allowed are None, or two numbers "
                f"(raised at, cleared at), the {order}; default {LIMITS[name]}"
            )
        checked[name] = (float(numbers[0]), float(numbers[1]))
    return checked
