"""Which file set which setting: a config's inheritance, followed setting by setting.

mmengine merges `_base_` files into one config and forgets where a value came from. Here the files
are walked in the same order and only the keys that each one writes are merged, by the same rules:
a dict adds to the base's dict unless it says `_delete_=True`, everything else replaces it whole.
"""

from __future__ import annotations

import ast
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from mmengine.config import Config, ConfigDict
from mmengine.fileio import load

from mcltoolkit.engine.config_files import config_path, read_config, shown_path
from mcltoolkit.errors import ConfigError

Key: TypeAlias = tuple[str, ...]

BASE, DELETE = "_base_", "_delete_"
COMMAND_LINE = "--cfg-options"
TOOLKIT = "mcltoolkit"
ABSENT = "(absent)"


@dataclass(frozen=True)
class Origin:
    """Where a setting was written.

    Attributes:
        file: the config file, relative to the current folder where it lies inside, as
            `mcltoolkit::NAME` where it is one of the toolkit's elsewhere; or `--cfg-options`, or
            `mcltoolkit` for what the toolkit filled in, or `plugin NAME` for what a plugin set.
        line: in that file, from 1; 0 where it is not known.
        reference: the `_base_` variable that the value was taken from, with the file that set it.
    """

    file: str
    line: int = 0
    reference: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place} = {self.reference}" if self.reference else place


@dataclass(frozen=True)
class Setting:
    """One leaf of a config: its dotted key as `--cfg-options` takes it, value and origin."""

    key: str
    value: Any
    origin: Origin


def leaves(settings: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Keys and values of a config's leaves; lists are leaves unless they hold dicts."""
    if isinstance(settings, Mapping) and settings:
        for name, value in settings.items():
            yield from leaves(value, (*key, str(name)))
    elif isinstance(settings, list | tuple) and any(isinstance(v, Mapping) for v in settings):
        for index, value in enumerate(settings):
            yield from leaves(value, (*key, str(index)))
    else:
        yield key, settings


def settings_of(
    config: Config,
    options: Mapping[str, Any] | None = None,
    adjusted: Mapping[Key, str] | None = None,
) -> list[Setting]:
    """All settings of a loaded config, in the config's order.

    Args:
        config: from `load_config`.
        options: the `--cfg-options` that it was loaded with.
        adjusted: the plugin that set a leaf last, by the leaf's key; see `engine.adjust`.

    Raises:
        ConfigError: a file of the inheritance cannot be followed.
    """
    origins = trace(config.filename)
    for key, value in (options or {}).items():
        nested: Any = value
        for name in reversed(key.split(".")):
            nested = {name: nested}
        _overlay(origins, nested, Origin(COMMAND_LINE))
    written = read_config(config.filename)
    plugins = {key: Origin(f"plugin {name}") for key, name in (adjusted or {}).items()}
    return [
        Setting(".".join(key), value, plugins.get(key) or _origin(origins, key, value, written))
        for key, value in leaves(config._cfg_dict)
    ]


def trace(path: str | Path) -> dict[Key, Origin]:
    """The origin of each leaf that a config file and its bases write.

    Raises:
        ConfigError: a file uses something that cannot be followed, such as an unquoted template.
    """
    path = Path(os.path.abspath(path))
    try:
        names, tree, own = _read(path)
        origins: dict[Key, Origin] = {}
        base = ConfigDict()
        for name in names:
            file = config_path(name, path.parent)
            origins.update(trace(file))
            base.update(read_config(file)._cfg_dict)
        if tree is not None:
            own = _run(tree, path, base)
    except (SyntaxError, ValueError, TypeError, NameError, AttributeError, OSError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"config {path} cannot be followed: {type(error).__name__}: {error}; write it as plain "
            f"Python without unquoted {{{{templates}}}}, as the configs that come with the toolkit"
        ) from error
    places = {} if tree is None else _places(tree)
    inherited, here = dict(origins), Origin(shown_path(path))
    _overlay(origins, own, here)
    for key, origin in origins.items():
        node = _place(places, key) if origin is here else None
        if node is not None:
            reference = _reference(node, inherited)
            origins[key] = replace(here, line=node.lineno, reference=reference)
    return origins


def differences(first: Any, second: Any, key: Key = ()) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key and both values (`ABSENT` for none) of each setting in which two configs differ.

    A dict against something else, such as a loss that the other config switches off, is one
    difference.
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in [*first, *(name for name in second if name not in first)]:
            ours, theirs = first.get(name, ABSENT), second.get(name, ABSENT)
            yield from differences(ours, theirs, (*key, str(name)))
    elif first != second:
        yield ".".join(key), first, second


def _read(path: Path) -> tuple[list[str], ast.Module | None, dict[str, Any]]:
    """Names of the bases, and the file's code (Python) or contents (YAML, JSON)."""
    if path.suffix != ".py":
        own = load(str(path))
        bases = own.pop(BASE, [])
        return [bases] if isinstance(bases, str) else list(bases), None, own
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bases = []
    for statement in list(tree.body):
        if isinstance(statement, ast.Assign) and _name(statement.targets[0]) == BASE:
            bases = ast.literal_eval(statement.value)
            tree.body.remove(statement)
    return [bases] if isinstance(bases, str) else list(bases), tree, {}


def _run(tree: ast.Module, path: Path, base: ConfigDict) -> dict[str, Any]:
    """The variables that a config's code leaves behind."""
    scope: dict[str, Any] = {BASE: base, "__file__": str(path)}
    exec(compile(tree, str(path), "exec"), scope)
    return {
        name: value
        for name, value in scope.items()
        if name != BASE
        and not name.startswith("__")
        and not isinstance(value, types.FunctionType | types.ModuleType)
    }


def _overlay(
    origins: dict[Key, Origin], own: Mapping[str, Any], origin: Origin, key: Key = ()
) -> None:
    """Merge the keys that a file writes into `origins`, as mmengine merges their values."""
    for name, value in own.items():
        here = (*key, str(name))
        if isinstance(value, Mapping) and value and not value.get(DELETE):
            origins.pop(here, None)
            _overlay(origins, value, origin, here)
            continue
        under = [known for known in origins if known[: len(here)] == here]
        if value == {} and under:
            continue
        for known in under:
            del origins[known]
        for leaf, _ in leaves(value, here):
            if leaf[-1] != DELETE:
                origins[leaf] = origin
            elif len(value) == 1:  # nothing is left but an empty dict, which this file made
                origins[here] = origin


def _origin(origins: Mapping[Key, Origin], key: Key, value: Any, written: Config) -> Origin:
    found = origins.get(key)
    if found is None:  # one item of a plain list was set on the command line
        under = [origin for known, origin in origins.items() if known[: len(key)] == key]
        return under[-1] if under else Origin(TOOLKIT)
    if len(key) == 1 and found.file != COMMAND_LINE and written.get(key[0]) != value:
        return Origin(TOOLKIT)  # such as the work directory, made from the config's name
    return found


def _places(tree: ast.Module) -> dict[Key, ast.expr]:
    """The expression that each written key of a config's code gets, as far as it is spelt out."""
    places: dict[Key, ast.expr] = {}

    def visit(key: Key, node: ast.expr) -> None:
        places[key] = node
        items: list[tuple[Any, ast.expr]] = []
        if isinstance(node, ast.Call) and _name(node.func) == "dict":
            items = [(word.arg, word.value) for word in node.keywords if word.arg]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            items = [(k.value, v) for k, v in pairs if isinstance(k, ast.Constant)]
        elif isinstance(node, ast.List | ast.Tuple):
            items = list(enumerate(node.elts))
        for name, child in items:
            visit((*key, str(name)), child)

    for statement in tree.body:
        if isinstance(statement, ast.Assign) and _name(statement.targets[0]):
            visit((_name(statement.targets[0]),), statement.value)
    return places


def _place(places: Mapping[Key, ast.expr], key: Key) -> ast.expr | None:
    """The expression of `key`, or of the nearest dict around it; variables are looked through."""
    for length in range(len(key), 0, -1):
        node = places.get(key[:length])
        if node is not None:
            variable = _name(node)
            if variable and variable != key[0] and (variable,) in places:
                return _place(places, (variable, *key[length:])) or node
            return node
    return None


def _reference(node: ast.expr, inherited: Mapping[Key, Origin]) -> str:
    """`_base_.name (FILE)` where the expression is just that."""
    names: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        names.insert(0, inner.attr)
        inner = inner.value
    if not names or _name(inner) != BASE:
        return ""
    origin = inherited.get(tuple(names))
    return ast.unparse(node) + (f" ({origin.file})" if origin else "")


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""
