"""Activation checkpointing (Chen et al., 2016): parts of the model keep their inputs alone and
compute the rest again in the backward pass.

The second pass is the first one again, to the bit: it starts from the buffers (singular vectors of
spectral norm, running statistics), the random state and the autocast settings that the first had,
and leaves no trace in them. mmengine's own function runs a module twice without that care, which
updates such buffers twice and takes gradients at other weights than the loss was computed with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import MethodType
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.memory import give_back

BLOCKS, VGG = "blocks", "vgg"


def recompute_activations(model: nn.Module, names: Sequence[str]) -> list[str]:
    """Have the named modules computed again in the backward pass.

    Args:
        model: changed in place; its children may be wrapped for distributed training.
        names: dotted names of modules as if nothing were wrapped, such as
            `translator.generator`; patterns of them, in which `*` stands for anything but a dot,
            such as `translator.generator.stages.*`; `vgg`, the fixed network behind the losses; or
            `blocks`, see `blocks_of`, less those blocks of which other names tell parts.

    Returns:
        The modules' names, patterns resolved.

    Raises:
        ConfigError: a name that is no module of the model, or one inside another of them.
    """
    known = dict(named_modules(model))
    found = [each for name in names if name != BLOCKS for each in _resolved(name, known)]
    if BLOCKS in names:
        finer = tuple(found)
        found += [
            b for b in blocks_of(model) if not any(f"{n}.".startswith(f"{b}.") for n in finer)
        ]
    for name in found:
        inside = [other for other in found if name.startswith(f"{other}.")]
        if inside or found.count(name) > 1:
            raise ConfigError(
                f"activation_checkpointing names {name!r} and {(inside or [name])[0]!r}, which "
                f"holds it: it would be computed three times; keep one of them"
            )
        if isinstance(known[name], nn.ModuleList | nn.ModuleDict):
            raise ConfigError(
                f"activation_checkpointing names {name!r}, a list of modules that is not computed "
                f"as such; name its members, such as {name + '.*'!r} or "
                f"{next((n for n in known if n.startswith(name + '.')), name)!r}"
            )
    for name in found:
        # a method of the module, so that a copy of the module gets one of its own
        known[name].forward = MethodType(_forward, known[name])  # type: ignore[method-assign]
    return found


def blocks_of(model: nn.Module) -> list[str]:
    """What the preset `blocks` stands for: the members of the outermost lists and sequences of
    modules inside translator and discriminator, and `vgg` where there is one.

    Block by block, a training keeps what flows between the blocks and the inside of one; a whole
    network that is computed again is held whole at that moment.
    """
    known = dict(named_modules(model))
    containers = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
    found: list[str] = []
    for name, module in known.items():
        parent = known.get(name.rpartition(".")[0])
        if not name.startswith(("translator.", "discriminator.")) or not isinstance(
            parent, containers
        ):
            continue
        if isinstance(module, nn.ModuleList | nn.ModuleDict) or "parametrizations" in name:
            continue
        if not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
    return [*found, *(name for name in known if name == VGG)]


def _resolved(name: str, known: dict[str, nn.Module]) -> list[str]:
    pattern = re.compile(re.escape(name).replace(r"\*", "[^.]+"))
    found = [n for n in known if pattern.fullmatch(n)]
    if not found:
        raise ConfigError(
            f"activation_checkpointing names {name!r}, which is no module of the model"
            f"{near_matches(name, list(known))}; allowed are {BLOCKS!r}, and modules such as "
            f"{', '.join(n for n in known if n.count('.') <= 1)}"
        )
    return found


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts of a model by name, as if nothing were wrapped, and the fixed network behind the
    losses as `vgg`."""
    for child_name, child in model.named_children():
        plain: Any = child.module if is_model_wrapper(child) else child
        yield from plain.named_modules(prefix=child_name)
        for network in getattr(plain, "_features", ()):  # held outside the module tree
            yield VGG, network


def _forward(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Takes the place of the module's `forward`."""
    compute = MethodType(type(module).forward, module)
    if not torch.is_grad_enabled():
        return compute(*args, **kwargs)
    first = next((p for p in (*module.parameters(), *module.buffers())), None)
    # tells torch the device whose random state is to be kept, where the arguments are no tensors
    anchor = torch.empty(0, device=None if first is None else first.device)
    replay = _Replay(module, anchor.device)
    return checkpoint(
        lambda _, *a, **k: compute(*a, **k),
        anchor,
        *args,
        use_reentrant=False,
        context_fn=lambda: (replay.first_pass(), _Repeatable(replay.second_pass)),
        **kwargs,
    )


class _Replay:
    """What a module's forward pass starts from and changes, for the same pass again."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module = module
        self._device = device
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
        give_back(self._device)  # what passes before this one have freed
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


class _Repeatable:
    """A context that can be entered again, as several backward passes over one graph do."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make

    def __enter__(self) -> None:
        self._entered = self._make()
        self._entered.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        return self._entered.__exit__(*error)


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
