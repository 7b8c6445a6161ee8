"""Activation checkpointing (Chen et al., 2016): parts of the model keep their inputs alone and
compute the rest again in the backward pass.

The second pass is the first one again, to the bit: it starts from the buffers (singular vectors of
spectral norm, running statistics), the random state and the autocast settings that the first had,
and leaves no trace in them. mmengine's own function runs a module twice without that care, which
updates such buffers twice and takes gradients at other weights than the loss was computed with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mcltoolkit.errors import ConfigError, near_matches


def recompute_activations(model: nn.Module, names: Sequence[str]) -> None:
    """Have the named modules computed again in the backward pass.

    Args:
        model: changed in place; its children may be wrapped for distributed training.
        names: dotted names of modules, such as `translator.generator` or, finer,
            `translator.generator.stages.up_0`, as if nothing were wrapped.

    Raises:
        ConfigError: a name that is no module of the model, or one inside another of them.
    """
    known = dict(_named_modules(model))
    for name in names:
        if name not in known:
            raise ConfigError(
                f"activation_checkpointing names {name!r}, which is no module of the model"
                f"{near_matches(name, list(known))}; its parts are "
                f"{', '.join(n for n in known if n.count('.') <= 1)}"
            )
        inside = [other for other in names if name.startswith(f"{other}.")]
        if inside or names.count(name) > 1:
            raise ConfigError(
                f"activation_checkpointing names {name!r} and {(inside or [name])[0]!r}, which "
                f"holds it: it would be computed three times; keep one of them"
            )
        if isinstance(known[name], nn.ModuleList | nn.ModuleDict):
            raise ConfigError(
                f"activation_checkpointing names {name!r}, a list of modules that is not computed "
                f"as such; name its members, such as "
                f"{next((n for n in known if n.startswith(name + '.')), name)!r}"
            )
    for name in names:
        # a method of the module, so that a copy of the module gets one of its own
        known[name].forward = MethodType(_forward, known[name])  # type: ignore[method-assign]


def _named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for child_name, child in model.named_children():
        plain: Any = child.module if is_model_wrapper(child) else child
        yield from plain.named_modules(prefix=child_name)


def _forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Takes the place of the module's `forward`."""
    compute = MethodType(type(module).forward, module)
    if not torch.is_grad_enabled():
        return compute(*args, **kwargs)
    first = next((p for p in (*module.parameters(), *module.buffers())), None)
    # tells torch the device whose random state is to be kept, where the arguments are no tensors
    anchor = torch.empty(0, device=None if first is None else first.device)
    replay = _Replay(module)
    return checkpoint(
        lambda _, *a, **k: compute(*a, **k),
        anchor,
        *args,
        use_reentrant=False,
        context_fn=lambda: (replay.first_pass(), replay.second_pass()),
        **kwargs,
    )


class _Replay:
    """What a module's forward pass starts from and changes, for the same pass again."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._buffers: dict[tuple[nn.Module, str], Tensor] = {}
        self._frozen: list[tuple[nn.Parameter, bool]] = []

    @contextmanager
    def first_pass(self) -> Iterator[None]:
        # all of them: batch norm's kernels change theirs without a new version number
        self._buffers = {key: held.clone() for key, held in _buffers(self._module)}
        self._frozen = [(p, p.requires_grad) for p in self._module.parameters()]
        yield

    @contextmanager
    def second_pass(self) -> Iterator[None]:
        held = {}
        for (owner, name), copy in self._buffers.items():
            held[owner, name] = owner._buffers[name]
            # not written into: backward passes may hold the buffer itself
            owner._buffers[name] = copy.clone()
        now = [(p, p.requires_grad) for p, _ in self._frozen]
        _set_frozen(self._frozen)
        try:
            yield
        finally:
            for (owner, name), buffer in held.items():
                owner._buffers[name] = buffer
            _set_frozen(now)


def _buffers(module: nn.Module) -> Iterable[tuple[tuple[nn.Module, str], Tensor]]:
    for owner in module.modules():
        for name, held in owner._buffers.items():
            if held is not None:
                yield (owner, name), held


def _set_frozen(settings: Iterable[tuple[nn.Parameter, bool]]) -> None:
    """A discriminator is frozen in the generator's step, not any more in its backward pass."""
    for parameter, trains in settings:
        if parameter.requires_grad != trains:
            parameter.requires_grad_(trains)
