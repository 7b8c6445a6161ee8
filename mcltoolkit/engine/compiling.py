"""torch.compile on parts of the model, by config:

    compile = dict(parts=["translator.generator"], mode="default")

Parts, since a training step as a whole holds what no compiler can follow: two optimisers, hooks
between them, checks that read a flag. Names and values of the state stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mcltoolkit.engine.recompute import named_modules
from mcltoolkit.errors import ConfigError, described, near_matches

PARTS = ("translator.condition_encoder", "translator.image_encoder", "translator.generator")
"""Compiled unless `parts` says otherwise, as far as the model has them."""


def compile_parts(model: nn.Module, settings: Any) -> list[str]:
    """Compile modules of a model in place, at their first call.

    Args:
        model: its children may be wrapped for distributed training.
        settings: None or False for nothing, True for the default; or a dict of `parts` (names as
            if nothing were wrapped) and what `torch.compile` takes, such as `mode` and `backend`.

    Returns:
        Names of the modules.

    Raises:
        ConfigError: another setting, or a name that is no module of the model.
    """
    if settings is None or settings is False:
        return []
    if settings is True:
        settings = {}
    if not isinstance(settings, Mapping):
        raise ConfigError(
            f"compile is {settings!r}; allowed are None, True, and a dict such as "
            f"dict(parts=['translator.generator'], mode='default')"
        )
    options = dict(settings)
    known = dict(named_modules(model))
    names = options.pop("parts", [name for name in PARTS if name in known])
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in known or isinstance(known[name], nn.ModuleList | nn.ModuleDict):
            raise ConfigError(
                f"compile.parts names {name!r}, which is no module of the model that computes"
                f"{near_matches(name, list(known))}; allowed are modules such as "
                f"{', '.join(n for n in known if n.count('.') <= 1)}"
            )
    for name in names:
        try:
            known[name].compile(**options)
        except (TypeError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"compile={dict(settings)} cannot be used: {described(error)}; allowed are `parts` "
                f"and the arguments of torch.compile"
            ) from error
    return names


def explain_compiler(error: BaseException, settings: Any) -> None:
    """Raise in the user's words what torch's compiler could not do; other errors pass.

    Raises:
        ConfigError: the compiler or its back end failed.
    """
    made_by = type(error).__module__
    if settings and made_by.startswith(("torch._dynamo", "torch._inductor")):
        first = next(iter(str(error).strip().splitlines()), "")
        raise ConfigError(
            f"compile={settings!r}: torch.compile ({torch.__version__}) cannot compile a part of "
            f"this model: {type(error).__name__}: {first}; name fewer in compile.parts, choose "
            f"another backend, or set compile=None"
        ) from error
