"""Plain dense formulations of the functions in `mcltoolkit.ops`: oracle of tests and yardstick.

Each file of this folder has the plain form of the ops in the file of the same name, under the same
names and signatures: straightforward torch, which keeps every matrix. `substituted()` puts them in
the place of the ops, so that a whole model runs plain.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

OPS = "mcltoolkit.ops"


def plain_forms() -> dict[str, Callable[..., Any]]:
    """The public functions that the files of this folder define, by name.

    Raises:
        RuntimeError: two files define one name.
    """
    found: dict[str, Callable[..., Any]] = {}
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        for name, member in _functions_of(module).items():
            if name in found:
                raise RuntimeError(f"two plain forms are called {name}: {found[name]}, {member}")
            found[name] = member
    return found


def ops() -> dict[str, Callable[..., Any]]:
    """The functions that `mcltoolkit.ops` exports, by name; none where there is no such package."""
    package = _package()
    return {} if package is None else _exported(package)


def missing() -> list[str]:
    """Names of ops that have no plain form."""
    return sorted(set(ops()) - set(FORMS))


@contextmanager
def substituted() -> Iterator[list[str]]:
    """Inside, `mcltoolkit.ops.NAME` is the plain form; yields the names that were replaced.

    Ops without a plain form stay. Layers reach ops through the package, so that modules that exist
    already follow, too. A backward pass belongs inside with its forward pass where it computes
    anything again (activation checkpointing).
    """
    package = _package()
    fast = {name: op for name, op in ops().items() if name in FORMS}
    try:
        for name in fast:
            setattr(package, name, FORMS[name])
        yield sorted(fast)
    finally:
        for name, op in fast.items():
            setattr(package, name, op)


def _package() -> ModuleType | None:
    return importlib.import_module(OPS) if importlib.util.find_spec(OPS) else None


def _exported(package: ModuleType) -> dict[str, Callable[..., Any]]:
    names = getattr(package, "__all__", [n for n in vars(package) if not n.startswith("_")])
    members = {name: getattr(package, name) for name in names}
    return {name: member for name, member in members.items() if inspect.isfunction(member)}


def _functions_of(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {
        name: member
        for name, member in vars(module).items()
        if inspect.isfunction(member)
        and not name.startswith("_")
        and member.__module__ == module.__name__
    }


FORMS = plain_forms()
globals().update(FORMS)
__all__ = [*FORMS, "FORMS", "missing", "ops", "plain_forms", "substituted"]
