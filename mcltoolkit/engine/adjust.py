"""Plugins change a config once it is read, and what each of them changed is remembered."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mcltoolkit.engine.provenance import ABSENT, Key, leaves
from mcltoolkit.errors import PluginError
from mcltoolkit.plugins import Implementation, implementations

RECORD = "_adjusted_by"


def adjust_config(config: Config) -> None:
    """Let every plugin adjust the config in place; see the hook of this name.

    Raises:
        PluginError: a plugin failed, or adjusting once more would change the config again; names
            plugin, file and remedy.
    """
    record = dict(adjusted_by(config))
    for plugin in implementations("adjust_config"):
        before = _values(config)
        _call(plugin, config)
        after = _values(config)
        _call(plugin, config)
        again = _changed(after, _values(config))
        if again:
            key = ".".join(again[0])
            error = PluginError(
                f"adjust_config changes {key} again when the config is adjusted already; a config "
                f"is written and loaded anew, so the second time must change nothing"
            )
            raise PluginError(plugin.report.failed(plugin.hook, error))
        record.update(dict.fromkeys(_changed(before, after), plugin.report.name))
    # beside the settings, as mmengine keeps its own notes: no dump and no checkpoint holds it
    object.__setattr__(config, RECORD, record)


def adjusted_by(config: Config) -> Mapping[Key, str]:
    """The plugin that last changed a leaf of the config, by the leaf's key."""
    return config.__dict__.get(RECORD, {})


def _call(plugin: Implementation, config: Config) -> None:
    try:
        plugin.call(config=config)
    except (Exception, SystemExit) as error:
        raise PluginError(plugin.report.failed(plugin.hook, error)) from error


def _values(config: Config) -> dict[Key, Any]:
    return copy.deepcopy(dict(leaves(config._cfg_dict)))


def _changed(before: Mapping[Key, Any], after: Mapping[Key, Any]) -> list[Key]:
    keys = [*after, *(key for key in before if key not in after)]
    pairs = [(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys]
    return [key for key, old, new in pairs if old is not new and old != new]
