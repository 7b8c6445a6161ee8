"""Two optimisers (two time-scale update rule), mixed precision on any device, and the schedule."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import LinearLR, OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    build_component,
)

SIDES = {"generator": ("translator", "losses"), "discriminator": ("discriminator",)}
FUSED, FUSED_ON = (torch.optim.Adam, torch.optim.AdamW), ("cpu", "cuda")
KERNELS = ("fused", "foreach", "capturable", "differentiable")
"""Settings of an optimiser that change how it steps, not where to."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GANOptimWrapperConstructor:
    """One optimiser for translator and loss heads, one for the discriminator.

    Args:
        optim_wrapper_cfg: `{generator: {...}, discriminator: {...}}`, each a config of an
            `OptimWrapper` with its `optimizer`. The discriminator's is left out where the model
            has none. `accumulative_counts` is the same for both.

    Raises:
        ConfigError: another key, a side without its optimiser, or `accumulative_counts` that
            differ or are no counts.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        if paramwise_cfg is not None:
            raise ConfigError("optim_wrapper.paramwise_cfg is not supported; leave it out")
        self.settings = dict(optim_wrapper_cfg)
        unknown = sorted(set(self.settings) - set(SIDES))
        if unknown:
            raise ConfigError(
                f"optim_wrapper has the keys {unknown}; allowed are {sorted(SIDES)} "
                f"(and `constructor`)"
            )

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """The optimisers over the parameters of `model` that require gradient."""
        plain: Any = model.module if is_model_wrapper(model) else model
        wrappers = {}
        for side, children in SIDES.items():
            parameters = [
                parameter
                for child in children
                if getattr(plain, child, None) is not None
                for parameter in getattr(plain, child).parameters()
                if parameter.requires_grad
            ]
            if not parameters:
                continue
            if side not in self.settings:
                raise ConfigError(
                    f"optim_wrapper.{side} is missing: the model has {len(parameters)} "
                    f"{side} parameters to train; give it an optimizer"
                )
            where = f"optim_wrapper.{side}"
            if not isinstance(self.settings[side], Mapping):
                raise ConfigError(
                    f"{where} is {self.settings[side]!r}; allowed is a dict such as "
                    f"dict(optimizer=dict(type='Adam', lr=1e-4))"
                )
            settings = dict(self.settings[side])
            chosen = with_kernel(settings.pop("optimizer", None), parameters)
            optimizer = build_component(OPTIMIZERS, chosen, f"{where}.optimizer", params=parameters)
            settings = {"type": "StepOptimWrapper", **settings}
            wrappers[side] = build_component(OPTIM_WRAPPERS, settings, where, optimizer=optimizer)
        return GANOptimWrappers(**wrappers)


def with_kernel(settings: Any, parameters: Iterable[nn.Parameter]) -> Any:
    """An optimiser's config with torch's fused kernel, where the device has one.

    Adam and AdamW then step all parameters in one pass over them and without temporaries, on CPUs
    and CUDA alike; under a float16 scaler they leave a step with infinite gradients out themselves.
    Another optimiser, and a config that says how it wants to step (`fused`, `foreach`, ...), is
    left as it is.
    """
    if not isinstance(settings, Mapping) or any(name in settings for name in KERNELS):
        return settings
    kind = settings.get("type")
    kind = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
    fits = all(p.is_floating_point() and p.device.type in FUSED_ON for p in parameters)
    return {**settings, "fused": True} if kind in FUSED and fits else settings


class GANOptimWrappers(OptimWrapperDict):
    """The optimisers of all sides, whose windows of accumulated batches begin and end together.

    mmengine's class tells its optimisers neither where a training begins nor where it ends: the
    gradients of a last window that is shorter would be lost.

    Raises:
        ConfigError: `accumulative_counts` that differ or are no counts.
    """

    def __init__(self, **wrappers: OptimWrapper) -> None:
        super().__init__(**wrappers)
        counts = {side: wrapper._accumulative_counts for side, wrapper in wrappers.items()}
        for side, count in counts.items():
            if type(count) is not int:
                raise ConfigError(
                    f"optim_wrapper.{side}.accumulative_counts is {count!r}; allowed are whole "
                    f"numbers of 1 or more"
                )
        if len(set(counts.values())) > 1:
            raise ConfigError(
                f"optim_wrapper.SIDE.accumulative_counts is {counts}; allowed is one number for "
                f"all sides, which are trained on the same images: set the same on each"
            )
        self.window = next(iter(counts.values()), 1)

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Begin to count at `cur_iter` batches of `max_iters`; the last window may be shorter.

        Raises:
            ConfigError: `cur_iter` is inside a window, whose gradients no checkpoint holds.
        """
        if cur_iter % self.window and cur_iter != max_iters:
            raise ConfigError(
                f"the training would resume after batch {cur_iter}, inside a window of "
                f"accumulative_counts={self.window} batches whose gradients are not in the "
                f"checkpoint; resume from one at a multiple of {self.window}, or set "
                f"optim_wrapper.SIDE.accumulative_counts to a divisor of {cur_iter}"
            )
        if self.window > 1:
            # schedules count batches: mmengine takes those before the first step for a mistake
            warnings.filterwarnings("ignore", "Detected call of `scheduler.step", UserWarning)
        for wrapper in self.optim_wrappers.values():
            wrapper.initialize_count_status(model, cur_iter, max_iters)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; how a step is computed (fused or not, memory layout of
        the moments) stays this run's."""
        loaded = dict(state_dict)
        for side in [side for side in loaded if side in self.optim_wrappers]:
            own, groups = self.optim_wrappers[side].param_groups, loaded[side]["param_groups"]
            kept = [{n: group[n] for n in KERNELS if n in group} for group in own]
            if len(kept) == len(groups):  # or torch tells
                merged = [{**theirs, **ours} for theirs, ours in zip(groups, kept, strict=True)]
                loaded[side] = {**loaded[side], "param_groups": merged}
        super().load_state_dict(loaded)
        for wrapper in self.optim_wrappers.values():
            _follow_layout(wrapper.optimizer)


def _follow_layout(optimizer: torch.optim.Optimizer) -> None:
    """Moments lie in memory as their parameters do: fused kernels walk through them in step."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if (
                isinstance(value, Tensor)
                and value.shape == parameter.shape
                and value.stride() != parameter.stride()
            ):
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def in_accumulation(optim_wrapper: OptimWrapper | OptimWrapperDict) -> bool:
    """Whether gradients of batches wait for the rest of their window.

    A checkpoint that is taken then lacks them: wait until this is False, which it is after at most
    `accumulative_counts` batches and after the last batch of the training.
    """
    if isinstance(optim_wrapper, OptimWrapperDict):
        return any(in_accumulation(wrapper) for _, wrapper in optim_wrapper.items())
    return not optim_wrapper.should_update()


@OPTIM_WRAPPERS.register_module()
class StepOptimWrapper(OptimWrapper):
    """mmengine's OptimWrapper, whose clipping logs the gradient's norm without waiting for it."""

    def _clip_grad(self) -> None:
        groups = self.optimizer.param_groups
        parameters = [p for group in groups for p in group["params"] if p.grad is not None]
        norm = self.clip_func(parameters, **self.clip_grad_kwargs) if parameters else None
        if norm is not None:  # there is none where values are clipped
            whole = getattr(norm, "full_tensor", lambda: norm)()  # of a sharded model
            self.message_hub.update_scalar(f"train/{self.grad_name}", whole)


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(StepOptimWrapper):
    """Mixed precision on any device, with a gradient scaler of its own for float16.

    mmengine's AmpOptimWrapper refuses CPUs.

    Args:
        dtype: 'float16' or 'bfloat16'; None is float16 on CUDA and bfloat16 elsewhere.
        loss_scale: initial factor of the dynamic float16 loss scale.
    """

    def __init__(
        self, dtype: str | None = None, loss_scale: float = 2.0**16, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if dtype not in (None, "float16", "bfloat16"):
            raise ConfigError(
                f"optim_wrapper dtype is {dtype!r}; allowed are 'float16', 'bfloat16' or None"
            )
        self.device_type = self.optimizer.param_groups[0]["params"][0].device.type
        default = "float16" if self.device_type == "cuda" else "bfloat16"
        self.dtype: torch.dtype = getattr(torch, dtype or default)
        self.scaler = torch.amp.GradScaler(
            self.device_type, init_scale=loss_scale, enabled=self.dtype == torch.float16
        )

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Forward passes inside run in the reduced precision."""
        with super().optim_context(model), torch.autocast(self.device_type, self.dtype):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Gradients of the scaled loss."""
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Unscale, clip where configured, update; float16 steps with infinite gradients are
        skipped."""
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state and the scaler's."""
        return {**super().state_dict(), "loss_scaler": self.scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        state_dict = dict(state_dict)
        scaler = state_dict.pop("loss_scaler", None)
        if scaler:
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)


@PARAM_SCHEDULERS.register_module()
class ConstantThenLinearLR(LinearLR):
    """Constant rate, then linear decay to 0 at the last iteration (CoCosNet's recipe).

    Args:
        optimizer: given by the Runner.
        constant: share of the training at the full rate, in [0, 1).
        steps: the decay goes down a stair of that many equal steps, the first of which still has
            the full rate; the released code takes one an epoch of the decay. None: a step an
            iteration.
        end: last iteration; the Runner fills in the length of the training.
        by_epoch: must be False: the Runner fills in `end` in the unit that this setting names.

    Raises:
        ConfigError: `constant` or `steps` out of range, or `by_epoch` not set to False.
    """

    def __init__(
        self,
        optimizer: Any,
        constant: float = 0.5,
        steps: int | None = None,
        end: int = 0,
        by_epoch: bool = True,
        **kwargs: Any,
    ) -> None:
        if by_epoch:
            raise ConfigError("param_scheduler ConstantThenLinearLR needs by_epoch=False; set it")
        if not 0 <= constant < 1:
            raise ConfigError(f"param_scheduler.constant is {constant}; allowed is 0 <= c < 1")
        if steps is not None and steps < 1:
            raise ConfigError(f"param_scheduler.steps is {steps}; allowed is None, or 1 or more")
        self.steps = steps
        super().__init__(
            optimizer,
            start_factor=1.0,
            end_factor=0.0,
            begin=int(constant * end),
            end=end + 1,
            by_epoch=False,
            **kwargs,
        )

    def _get_value(self) -> list[float]:
        if self.steps is None:
            return super()._get_value()
        down = self.last_step * self.steps // self.total_iters
        return [base * (1 - down / self.steps) for base in self.base_values]
