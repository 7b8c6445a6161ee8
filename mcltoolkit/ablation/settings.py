"""Resolved settings as plain data: what counts, what differs, and a fingerprint."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from pprint import pformat
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.registry import REGISTRIES

Settings = dict[str, Any]

TEST_SETTINGS = ("test_dataloader", "test_cfg", "test_evaluator")
# Where a run writes and how it is started decides nothing about its result.
_CIRCUMSTANCES = {"self", "cfg", "work_dir", "launcher", "resume", "experiment_name"}
_READ_BESIDES = {
    "plugins",
    "model_wrapper_cfg",
    "sync_bn",
    "find_unused_parameters",
    "activation_checkpointing",
    "efficient_conv_bn_eval",
    "compile",
    "memory_format",
    "winograd",
}
READ = (set(inspect.signature(Runner.__init__).parameters) | _READ_BESIDES) - _CIRCUMSTANCES


class _Absent:
    def __repr__(self) -> str:
        return "not set"


ABSENT = _Absent()


def effective(config: Config) -> Settings:
    """The settings that a run reads, as plain data.

    Helper variables of a config file (`encoder`, `num_classes`) are left out: they have had their
    effect when the file was read.
    """
    return {k: v for k, v in config._cfg_dict.to_dict().items() if k in READ}


def training_part(settings: Settings) -> Settings:
    """Without what only the test reads."""
    return {key: value for key, value in settings.items() if key not in TEST_SETTINGS}


def fingerprint(settings: Settings) -> str:
    """Eight hexadecimal digits that are equal for equal settings; tuples count as lists."""
    text = json.dumps(settings, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def look_up(settings: Any, key: str) -> Any:
    """The value at a dotted key, or ABSENT."""
    node = settings
    for name in key.split("."):
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, list | tuple) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return ABSENT
    return node


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same setting; a tuple equals a list."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return (type(one) is type(other) and bool(one == other)) or _equal_numbers(one, other)


def differences(before: Settings, after: Settings) -> list[tuple[str, Any, Any]]:
    """(dotted key, value before, value after) of all that differs."""
    return list(_differences(before, after, ""))


def write_difference(difference: tuple[str, Any, Any]) -> str:
    """`key: before -> after`, components by their type."""
    key, before, after = difference
    return f"{key}: {_short(before)} -> {_short(after)}"


def check_key(key: str, value: Any, before: Settings, after: Settings, where: str) -> None:
    """Make sure that a dotted option names a setting that the config has or its component takes.

    Args:
        key, value: the option.
        before, after: effective settings without and with the options.
        where: for messages.

    Raises:
        ConfigError: the setting does not exist; the message has near matches.
    """
    first = key.split(".")[0]
    if first not in READ:
        raise ConfigError(
            f"{where}: {key}: a run does not read {first!r}"
            f"{near_matches(first, before)}; helper variables of a config file have had their "
            f"effect when it was read, so set what was made from them"
        )
    names = key.split(".")
    for depth, name in enumerate(names):
        parent = ".".join(names[:depth])
        node = before if not depth else look_up(before, parent)
        if node is None or look_up(before, ".".join(names[: depth + 1])) is not ABSENT:
            continue
        last = depth == len(names) - 1
        made = after if not depth else look_up(after, parent)
        taken = arguments_of(made)
        if last and (taken is None or name in taken):
            continue
        if last and isinstance(value, Mapping) and "type" in value and "type" not in made:
            continue  # a new component among named ones, such as model.losses.NAME
        known = set(node if isinstance(node, Mapping) else ()) | (taken or set())
        raise ConfigError(
            f"{where}: {key}: {parent or 'the config'} has no setting {name!r}"
            f"{near_matches(name, known)}; it has {', '.join(sorted(known)) or 'none'}"
        )


def arguments_of(node: Any) -> set[str] | None:
    """What the component that `node` configures takes; None if it takes anything."""
    kind = node.get("type") if isinstance(node, Mapping) else None
    if kind is None:
        return set()
    for registry in REGISTRIES.values():
        registry.import_from_location()
        found = registry.module_dict.get(kind) or (
            registry.parent.module_dict.get(kind) if registry.parent else None
        )
        if found is not None:
            parameters = inspect.signature(found).parameters.values()
            if any(p.kind is p.VAR_KEYWORD for p in parameters):
                return None
            return {p.name for p in parameters}
    return None


def as_python(settings: Settings) -> str:
    """A config file's text.

    Raises:
        ConfigError: a value that is not plain data.
    """
    lines = []
    for key, value in settings.items():
        text = pformat(value, width=100, sort_dicts=False)
        try:
            plain = same(ast.literal_eval(text), value)
        except (ValueError, SyntaxError):
            plain = False
        if not plain:
            raise ConfigError(
                f"setting {key} holds a value that cannot be written to a file: {text[:200]}; use "
                f"numbers, texts, lists and dicts in configs"
            )
        lines.append(f"{key} = {text}\n")
    return "".join(lines)


def _differences(before: Any, after: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    for key in [*before, *(k for k in after if k not in before)]:
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        name = f"{prefix}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{name}.")
        elif not same(old, new):
            yield name, old, new


def _equal_numbers(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if type(one) not in numbers or type(other) not in numbers:
        return False
    return bool(one == other)


def _short(value: Any, most: int = 60) -> str:
    if isinstance(value, Mapping) and "type" in value:
        rest = ", ".join(f"{k}={_short(v, 20)}" for k, v in value.items() if k != "type")
        text = f"{value['type']}({rest})"
    else:
        text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
