"""What becomes of a training whose losses or gradients are infinite or not a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mcltoolkit.engine.agreement import of_all_ranks
from mcltoolkit.engine.config import plain_config
from mcltoolkit.engine.files import save_whole
from mcltoolkit.engine.incident import content
from mcltoolkit.engine.optim import in_accumulation
from mcltoolkit.engine.step_check import Incident, StepCheck
from mcltoolkit.errors import ConfigError, NonFiniteError, ToolkitError
from mcltoolkit.models.exemplar_gan import ExemplarGAN, unwrap
from mcltoolkit.registry import HOOKS

POLICIES = ("stop", "skip")
FOLDER = "nonfinite"


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stops a training at a loss or gradient that is infinite or not a number, or leaves that step
    out; see `StepCheck` for what is looked at and what stays as it was.

    Where the generator's step is left out the discriminator's of the same batch is, too. A
    discriminator's step alone is left out after the generator's has been made. Each rank on which
    something is not finite, rank 0 at least, writes `WORK_DIR/nonfinite/iter_N_rankR.pth`, N being
    the step's number in the log; `mcltoolkit replay FILE` computes the step again.

    Args:
        policy: `stop`, or `skip` the step and go on.
        max_skipped: iterations in a row with a step left out after which the training stops.
        max_dumps: files a rank writes in one run; later incidents are named in the log alone.

    Raises:
        ConfigError: another policy, or a negative number.
        NonFiniteError: the training stops.
    """

    priority = "NORMAL"  # before the log of the same step is written

    def __init__(self, policy: str = "stop", max_skipped: int = 10, max_dumps: int = 3) -> None:
        if policy not in POLICIES:
            raise ConfigError(f"NonFiniteHook.policy is {policy!r}; allowed are {POLICIES}")
        for name, value in (("max_skipped", max_skipped), ("max_dumps", max_dumps)):
            if not isinstance(value, int) or value < 0:
                raise ConfigError(f"NonFiniteHook.{name} is {value!r}; allowed are integers >= 0")
        self.policy = policy
        self.max_skipped = max_skipped
        self.max_dumps = max_dumps
        self.skipped = 0
        self.in_a_row = 0
        self.check: StepCheck | None = None

    def before_train(self, runner: Runner) -> None:
        """Arm the model and its optimisers."""
        model = unwrap(runner.model)
        if not isinstance(model, ExemplarGAN):
            runner.logger.warning(
                f"NonFiniteHook checks ExemplarGAN only: the steps of {type(model).__name__} are "
                f"not looked at"
            )
            return

        def on_incident(incident: Incident) -> None:
            self._on_incident(runner, incident)

        window = getattr(runner.optim_wrapper, "window", 1)
        if self.policy == "skip" and window > 1 and hasattr(runner.model, "full_state_dict"):
            raise ConfigError(
                f"NonFiniteHook.policy is 'skip' with a sharded model and accumulative_counts "
                f"{window}: torch keeps gradients of such windows where they cannot be dropped; "
                f"set policy='stop', or accumulative_counts=1"
            )
        self.check = StepCheck(runner.model, runner.optim_wrapper, on_incident, self.max_dumps)
        self.check.arm()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """The scalar `skipped_steps`: iterations of this run with a step left out so far."""
        complete = not in_accumulation(runner.optim_wrapper)
        if self.check is not None and complete and not self.check.dropped:
            self.in_a_row = 0
        if self.policy == "skip":
            runner.message_hub.update_scalar("train/skipped_steps", self.skipped)

    def after_train(self, runner: Runner) -> None:
        """Disarm."""
        if self.check is not None:
            self.check.disarm()
            self.check = None

    def _on_incident(self, runner: Runner, incident: Incident) -> None:
        self.skipped += 1
        self.in_a_row += 1
        dump = self._dump(runner, incident)
        told = of_all_ranks(_description(incident, dump) if incident.here else "")
        text = (
            f"step {runner.iter + 1}: a loss or gradient of the {incident.moment.side} is not "
            f"finite\n" + "\n".join(line for line in told if line)
        )
        if self.policy == "skip" and self.in_a_row <= self.max_skipped:
            runner.logger.warning(f"{text}\nThis step is left out ({self.skipped} so far)")
            return
        allowed = (
            "custom_hooks has NonFiniteHook(policy='stop'); with policy='skip' such steps are "
            "left out and counted"
            if self.policy == "stop"
            else f"{self.in_a_row} iterations in a row, NonFiniteHook.max_skipped is "
            f"{self.max_skipped}"
        )
        raise NonFiniteError(
            f"{text}\nNo weight was changed by it ({allowed}). Look at the module or loss named "
            f"above and at the files, then lower the learning rate or the loss's weight, remove "
            f"the files, or clip gradients (optim_wrapper.*.clip_grad)"
        )

    def _dump(self, runner: Runner, incident: Incident) -> Path | None:
        if incident.finding is None:
            return None
        model = unwrap(runner.model)
        whole = getattr(runner.model, "whole", lambda name, value: value.detach().cpu())
        with model.without_wrappers():
            # on all ranks: one alone cannot put a sharded model together
            state = {name: whole(name, value) for name, value in model.state_dict().items()}
        if not incident.here and get_rank() != 0:
            return None
        losses = unwrap(model.losses)
        values = content(
            incident.moment,
            incident.finding,
            state,
            [network.state_dict() for network in losses._features],
            plain_config(runner.cfg),
            iteration=runner.iter + 1,
            rank=get_rank(),
            ranks=get_world_size(),
            gradients=incident.gradients,
        )
        path = Path(runner.work_dir, FOLDER, f"iter_{runner.iter + 1}_rank{get_rank()}.pth")
        try:
            return save_whole(values, path)
        except ToolkitError as error:  # a full disk: the incident itself is to be told first
            runner.logger.error(f"no dump of step {runner.iter + 1}: {error}")
            return None


def _description(incident: Incident, dump: Path | None) -> str:
    moment = incident.moment
    terms = ", ".join(f"{name} {float(term):.6g}" for name, term in moment.terms.items())
    lines = [
        f"rank {get_rank()}: losses {terms}",
        f"  batch {moment.batch.names}, exemplars {moment.batch.exemplar_names}",
    ]
    if incident.finding is not None:
        lines.append(f"  {incident.finding}")
    if not incident.repeats:
        lines.append("  computed again, the losses are other ones (try --deterministic)")
    lines.append(
        f"  see: mcltoolkit replay {dump}" if dump else "  no dump (NonFiniteHook.max_dumps)"
    )
    return "\n".join(lines)
