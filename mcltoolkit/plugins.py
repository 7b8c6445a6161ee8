"""Discovery of plugins, and clear reports on those that cannot be used.

Order: the built-in components, then the entry points of the group `mcltoolkit.plugins` by name,
then modules named in a config's `plugins=[...]`. A plugin either loads whole or leaves no trace;
a broken one is reported and never takes the others down. Modules named by a config must load.

The environment variable MCLTOOLKIT_PLUGINS (comma-separated modules) reaches child processes such
as data-loader workers; MCLTOOLKIT_DISABLE_PLUGINS (comma-separated names) leaves plugins out.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import mmengine
import pluggy

from mcltoolkit import hookspecs
from mcltoolkit.errors import PluginError
from mcltoolkit.hookspecs import CONTRACT_VERSION, ENTRY_POINT_GROUP, PROJECT
from mcltoolkit.registry import REGISTRIES

ENV_MODULES = "MCLTOOLKIT_PLUGINS"
ENV_DISABLE = "MCLTOOLKIT_DISABLE_PLUGINS"
BUILTIN = "mcltoolkit"


class PluginWarning(UserWarning):
    """An installed plugin could not be used."""


@dataclass
class PluginReport:
    """What became of one plugin.

    Attributes:
        name: the entry point's name, or the module named in the config.
        source: where it came from (`built-in`, `entry point PACKAGE.MODULE of DISTRIBUTION`,
            `config`).
        file: the plugin module's file, as far as known.
        problem: why it is not in use; empty when it is.
        remedy: what to do about it.
        components: names registered, by kind.
    """

    name: str
    source: str
    file: str = ""
    problem: str = ""
    remedy: str = ""
    components: dict[str, list[str]] = field(default_factory=dict)

    @property
    def loaded(self) -> bool:
        """Whether the plugin is in use."""
        return not self.problem

    def line(self) -> str:
        """The failure in one line."""
        where = f", {self.file}" if self.file else ""
        return f"plugin {self.name!r} ({self.source}{where}): {self.problem}. {self.remedy}"


class _Plugins:
    """The process's plugins; `load` may be called again and again."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.reports: dict[str, PluginReport] = {}
        self.loading: str | None = None
        self.discovered = False

    def load(self) -> None:
        if self.loading is not None:
            return
        if not self.discovered:
            self.discovered = True
            self._load_one(BUILTIN, "built-in", partial(_import, "mcltoolkit.builtin"), strict=True)
            disabled = _listed(ENV_DISABLE)
            for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
                if entry.name not in disabled:
                    self._load_one(entry.name, _source_of(entry), entry.load)
        for module in _listed(ENV_MODULES):
            if module not in self.reports:
                self._load_one(module, "config", partial(_import, module), strict=True)

    def _load_one(
        self, name: str, source: str, load: Callable[[], Any], strict: bool = False
    ) -> None:
        if name in self.reports:
            first = self.reports[name]
            report = PluginReport(
                f"{name} (second)",
                source,
                problem=f"the plugin name {name!r} is already taken by {first.source}",
                remedy="Uninstall one of the two, or rename its entry point.",
            )
            self._finish(report, strict)
            return
        report = PluginReport(name, source)
        before = {kind: dict(r.module_dict) for kind, r in REGISTRIES.items()}
        self.loading = name
        try:
            plugin = load()
            report.file = getattr(plugin, "__file__", "") or _file_of(plugin)
            _check_contract(plugin)
            if self.manager.is_registered(plugin):
                owner = self.manager.get_name(plugin)
                raise PluginError(f"the same plugin is loaded already as {owner!r}")
            self.manager.register(plugin, name)
            if not self.manager.get_hookcallers(plugin):
                raise PluginError("it has no function marked @mcltoolkit.hookimpl")
            self.manager.check_pending()
            others = [p for p in self.manager.get_plugins() if p is not plugin]
            caller = self.manager.subset_hook_caller("register_components", others)
            caller(registries=REGISTRIES)
        except (Exception, SystemExit) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            _restore(before)
            report.problem, report.remedy = _explain(error, name)
            report.file = report.file or _file_in(error)
            self._finish(report, strict, error)
        else:
            report.components = _components_of(plugin, name, before)
            self._finish(report, strict)
        finally:
            self.loading = None

    def _finish(
        self, report: PluginReport, strict: bool, error: BaseException | None = None
    ) -> None:
        self.reports[report.name] = report
        if report.loaded:
            return
        if strict:
            raise PluginError(report.line()) from error
        warnings.warn(report.line(), PluginWarning, stacklevel=4)


_plugins = _Plugins()


def load_plugins(modules: Iterable[str] = ()) -> None:
    """Load every plugin, once a process; `modules` are named by a config and must load.

    Args:
        modules: importable module names; child processes started later load them too.

    Raises:
        PluginError: one of `modules` cannot be used; the message has its name, file and remedy.
    """
    wanted = _listed(ENV_MODULES)
    new = [m for m in modules if m not in wanted]
    if new:
        os.environ[ENV_MODULES] = ",".join([*wanted, *new])
        for module in new:
            _plugins.reports.pop(module, None)
    try:
        _plugins.load()
    except PluginError:
        if new:
            os.environ[ENV_MODULES] = ",".join(wanted)
        raise


def plugin_reports() -> list[PluginReport]:
    """Reports on all plugins, in the order of loading."""
    load_plugins()
    return list(_plugins.reports.values())


def failed_plugins() -> list[PluginReport]:
    """Reports on the plugins that could not be loaded."""
    return [report for report in _plugins.reports.values() if not report.loaded]


def loading_plugin() -> str | None:
    """Name of the plugin that is being loaded right now, if any."""
    return _plugins.loading


def _listed(variable: str) -> list[str]:
    return [item.strip() for item in os.environ.get(variable, "").split(",") if item.strip()]


def _import(module: str) -> Any:
    return importlib.import_module(module)


def _source_of(entry: EntryPoint) -> str:
    distribution = entry.dist.name if entry.dist else "an unknown distribution"
    return f"entry point {entry.value} of {distribution}"


def _file_of(plugin: Any) -> str:
    module = sys.modules.get(getattr(plugin, "__module__", "") or type(plugin).__module__)
    return getattr(module, "__file__", "") or ""


def _file_in(error: BaseException) -> str:
    """`file:line` of the deepest frame outside the toolkit, its hosts and the import system."""
    hosts = (__file__, pluggy.__file__, mmengine.__file__)
    inside = ("<", *(str(Path(file).parent) + os.sep for file in hosts))
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not name.startswith(inside) and "importlib" not in name:
            place = f"{name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _check_contract(plugin: Any) -> None:
    version = getattr(plugin, "contract_version", 1)
    if version != CONTRACT_VERSION:
        raise PluginError(
            f"it was made for contract version {version!r}, this toolkit has {CONTRACT_VERSION}"
        )


def _components_of(
    plugin: Any, name: str, before: dict[str, dict[str, Any]]
) -> dict[str, list[str]]:
    """Names by kind that a plugin registered, now or when its modules were imported earlier."""
    owners = {name, getattr(plugin, "__name__", name).split(".")[0]}
    found = {
        kind: sorted(
            component
            for component in registry.module_dict
            if component not in before[kind] or registry.origins.get(component) in owners
        )
        for kind, registry in REGISTRIES.items()
    }
    return {kind: names for kind, names in found.items() if names}


def _restore(before: dict[str, dict[str, Any]]) -> None:
    for kind, registry in REGISTRIES.items():
        for name in set(registry.module_dict) - set(before[kind]):
            del registry._module_dict[name]
            registry.origins.pop(name, None)
        registry._module_dict.update(before[kind])


def _explain(error: BaseException, name: str) -> tuple[str, str]:
    text = str(error.args[0]) if error.args else type(error).__name__
    without = f"or leave it out with {ENV_DISABLE}={name}"
    if isinstance(error, PluginError):
        return text, f"Install a version made for this toolkit, {without}."
    if isinstance(error, ModuleNotFoundError):
        return f"the module {error.name!r} cannot be imported", (
            f"Install what provides it, check that it is on PYTHONPATH, {without}."
        )
    if isinstance(error, KeyError) and "already registered" in text:
        return text, f"Ask its author to rename the component, {without}."
    return f"it raised {type(error).__name__}: {text}", f"Mend or update the plugin, {without}."
