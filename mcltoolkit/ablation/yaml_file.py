"""YAML as people mean it: a key given twice is an error, and `1e-4` is a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mcltoolkit.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """PyYAML follows YAML 1.1, which keeps the last of two equal keys and reads 1e-4 as text."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key, line = loader.construct_object(key_node), key_node.start_mark.line + 1
        if key in seen:
            raise ConfigError(f"line {line}: {key!r} is there already, in line {seen[key]}")
        seen[key] = line
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: no such file, not YAML, a key given twice, or no mapping of names.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give a YAML file") from error
    except (yaml.YAMLError, TypeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}, {error}; remove one of the two") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds a {type(content).__name__}; it must be a mapping of names")
    return content
