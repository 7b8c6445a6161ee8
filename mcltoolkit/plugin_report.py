"""What became of a plugin, in words: what is wrong, where, and what to do about it."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mmengine
import pluggy

from mcltoolkit.errors import PluginError
from mcltoolkit.signatures import SignatureError

ENV_DISABLE = "MCLTOOLKIT_DISABLE_PLUGINS"
FROM_CONFIG = "config"


class PluginWarning(UserWarning):
    """A plugin, or a part of it, could not be used."""


class ContractError(PluginError):
    """A plugin made for a contract that this toolkit does not have."""


@dataclass
class PluginReport:
    """What became of one plugin.

    Attributes:
        name: the entry point's name, or the module named in the config.
        source: where it came from (`built-in`, `entry point PACKAGE.MODULE of DISTRIBUTION`,
            `config`).
        file: the plugin module's file, as far as known; `FILE:LINE` of what is wrong.
        problem: why it is not in use; empty when it is.
        remedy: what to do about it.
        components: names registered, by kind.
        hooks: names of the contract's functions that it has.
        failures: what failed after it was loaded, a line each.
    """

    name: str
    source: str
    file: str = ""
    problem: str = ""
    remedy: str = ""
    components: dict[str, list[str]] = field(default_factory=dict)
    hooks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def loaded(self) -> bool:
        """Whether the plugin is in use."""
        return not self.problem

    def line(self) -> str:
        """Why it is not in use, in one line."""
        return self._line(self.file, self.problem, self.remedy)

    def reject(self, error: BaseException) -> None:
        """Note why the plugin cannot be used."""
        self.problem, self.remedy = self._explain(error, "it")
        self.file = getattr(error, "place", "") or self.file or place_of(error)

    def failed(self, hook: str, error: BaseException) -> str:
        """Note that a hook of a loaded plugin failed; the failure in one line."""
        problem, remedy = self._explain(error, f"its {hook}")
        where = place_of(error, self.file) or self.file
        self.failures.append(self._line(where, problem, remedy))
        return self.failures[-1]

    def _line(self, file: str, problem: str, remedy: str) -> str:
        where = f", {file}" if file else ""
        return f"plugin {self.name!r} ({self.source}{where}): {problem}. {remedy}"

    def _explain(self, error: BaseException, what: str) -> tuple[str, str]:
        text = str(error.args[0]) if error.args else type(error).__name__
        without = f"or leave it out with {ENV_DISABLE}={self.name}"
        if self.source == FROM_CONFIG:
            without = "or take it out of the config's `plugins`"
        if isinstance(error, SignatureError):
            return text, f"{error.remedy}, {without}."
        if isinstance(error, ContractError):
            return text, f"{error.args[1]}, {without}."
        if isinstance(error, PluginError):
            return text, f"Mend or update the plugin, {without}."
        if isinstance(error, ModuleNotFoundError):
            return f"the module {error.name!r} cannot be imported", (
                f"Install what provides it, check that it is on PYTHONPATH, {without}."
            )
        if isinstance(error, KeyError) and "already registered" in text:
            return text, f"Ask its author to rename the component, {without}."
        raised = f"{what} raised {type(error).__name__}: {' '.join(text.split())}"
        return raised, f"Mend or update the plugin, {without}."


def file_of(plugin: Any) -> str:
    """The file of a plugin, be it a module or an object."""
    owner = plugin if inspect.ismodule(plugin) else inspect.getmodule(type(plugin))
    return getattr(owner, "__file__", "") or ""


def place_of(error: BaseException, inside: str = "") -> str:
    """`FILE:LINE` of the deepest frame in the package of the file `inside`; where that is not
    given, of the deepest frame outside the toolkit, its hosts and the import system."""
    package = inside and (
        os.path.dirname(inside) + os.sep if inside.endswith("__init__.py") else inside
    )
    hosts = (__file__, pluggy.__file__, mmengine.__file__)
    others = ("<", *(str(Path(file).parent) + os.sep for file in hosts))
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        outside = not name.startswith(others) and "importlib" not in name
        if name.startswith(package) if package else outside:
            place = f"{name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place
