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
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from mcltoolkit import hookspecs
from mcltoolkit.errors import PluginError
from mcltoolkit.hookspecs import CONTRACT_VERSION, ENTRY_POINT_GROUP, OLDEST_CONTRACT, PROJECT
from mcltoolkit.plugin_report import (
    ENV_DISABLE,
    FROM_CONFIG,
    ContractError,
    PluginReport,
    PluginWarning,
    file_of,
)
from mcltoolkit.registry import REGISTRIES
from mcltoolkit.signatures import check_components, check_hooks

ENV_MODULES = "MCLTOOLKIT_PLUGINS"
BUILTIN = "mcltoolkit"

# components and origins of each registry
State = dict[str, tuple[dict[str, Any], dict[str, str]]]


@dataclass(frozen=True)
class Implementation:
    """A hook of one loaded plugin.

    Attributes:
        hook: its name.
        report: the plugin's.
        call: calls it; takes the hook's arguments as keywords.
    """

    hook: str
    report: PluginReport
    call: Callable[..., Any]

    def warn(self, error: BaseException) -> str:
        """Report that the hook failed, as a PluginWarning; the same in one line."""
        line = self.report.failed(self.hook, error)
        warnings.warn(line, PluginWarning, stacklevel=2)
        return line


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
        self.load_builtin()
        if not self.discovered:
            self.discovered = True
            disabled = _listed(ENV_DISABLE)
            for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
                if entry.name not in disabled:
                    package = entry.module.split(".")[0]
                    self._load_one(entry.name, _source_of(entry), package, entry.load)
        for module in _listed(ENV_MODULES):
            if not self.manager.is_registered(sys.modules.get(module, self)):
                package, load = module.split(".")[0], partial(_import, module)
                self._load_one(self._name_for(module), FROM_CONFIG, package, load, strict=True)

    def load_builtin(self) -> None:
        """Register the toolkit's own components, before those of anyone else."""
        if self.loading is None and BUILTIN not in self.reports:
            load = partial(_import, "mcltoolkit.builtin")
            self._load_one(BUILTIN, "built-in", BUILTIN, load, strict=True)

    def _name_for(self, module: str) -> str:
        """What a module that a config names is called; an entry point may have its name. Reports
        of earlier tries that failed make room."""
        for name in (module, f"{module} (config)"):
            if name in self.reports and not self.reports[name].loaded:
                del self.reports[name]
            if name not in self.reports:
                break
        return name

    def _load_one(
        self, name: str, source: str, package: str, load: Callable[[], Any], strict: bool = False
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
        before = {kind: (dict(r.module_dict), dict(r.origins)) for kind, r in REGISTRIES.items()}
        modules = set(sys.modules)
        self.loading = name
        try:
            plugin = load()
            report.file = file_of(plugin)
            _check_contract(plugin)
            if self.manager.is_registered(plugin):
                owner = self.manager.get_name(plugin)
                raise PluginError(f"the same plugin is loaded already as {owner!r}")
            report.hooks = check_hooks(self.manager, plugin, hookspecs)
            if not report.hooks:
                raise PluginError("it has no function marked @mcltoolkit.hookimpl")
            self.manager.register(plugin, name)
            self.caller("register_components", name)(registries=REGISTRIES)
            components = self._components_of({name, package}, before)
            check_components(components)
        except (Exception, SystemExit) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self._restore({name, package}, before)
            report.reject(error)
            # another try must import anew: classes register as their modules are run
            for module in sys.modules.keys() - modules:
                if module.split(".")[0] == package:
                    del sys.modules[module]
            self._finish(report, strict, error)
        else:
            report.components = {kind: sorted(found) for kind, found in components.items()}
            self._finish(report, strict)
        finally:
            self.loading = None

    def _components_of(self, owners: set[str], before: State) -> dict[str, dict[str, Any]]:
        """What a plugin registered, now or when its modules were imported earlier: {kind: {name:
        component}}."""
        found = {
            kind: {
                name: component
                for name, component in registry.module_dict.items()
                if name not in before[kind][0]
                or (registry.origins.get(name) in owners and not self._owned(kind, name))
            }
            for kind, registry in REGISTRIES.items()
        }
        return {kind: members for kind, members in found.items() if members}

    def _restore(self, owners: set[str], before: State) -> None:
        """Take back all that `_components_of` finds, and what was put in the place of others."""
        for kind, members in self._components_of(owners, before).items():
            for name in members:
                del REGISTRIES[kind]._module_dict[name]
                REGISTRIES[kind].origins.pop(name, None)
                before[kind][0].pop(name, None)
                before[kind][1].pop(name, None)
        for kind, registry in REGISTRIES.items():
            components, origins = before[kind]
            registry._module_dict.update(components)
            registry.origins.update(origins)

    def _owned(self, kind: str, name: str) -> bool:
        """Whether a plugin that is in use has the component."""
        return any(
            name in report.components.get(kind, ())
            for report in self.reports.values()
            if report.loaded
        )

    def caller(self, hook: str, name: str) -> Callable[..., Any]:
        """Calls the hook of one plugin alone."""
        one = self.manager.get_plugin(name)
        others = [plugin for plugin in self.manager.get_plugins() if plugin is not one]
        return self.manager.subset_hook_caller(hook, others)

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
    names = list(modules) if isinstance(modules, list | tuple | set) else [modules]
    wrong = [n for n in names if not isinstance(n, str) or not n.replace(".", "_").isidentifier()]
    if wrong or isinstance(modules, str):
        raise PluginError(
            f"plugins is {modules!r}; allowed is a list of names of importable modules, such as "
            f"['my_package.losses']"
        )
    wanted = _listed(ENV_MODULES)
    new = [m for m in names if m not in wanted]
    if new:
        os.environ[ENV_MODULES] = ",".join([*wanted, *new])
    try:
        _plugins.load()
    except PluginError:
        if new:
            os.environ[ENV_MODULES] = ",".join(wanted)
        raise


def load_builtin() -> None:
    """Register the toolkit's own components, if that has not been done."""
    _plugins.load_builtin()


def plugin_reports() -> list[PluginReport]:
    """Reports on all plugins, in the order of loading."""
    load_plugins()
    return list(_plugins.reports.values())


def implementations(hook: str) -> list[Implementation]:
    """The loaded plugins that implement a hook of the contract, in the order of loading."""
    load_plugins()
    return [
        Implementation(hook, report, _plugins.caller(hook, report.name))
        for report in _plugins.reports.values()
        if report.loaded and hook in report.hooks
    ]


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


def _check_contract(plugin: Any) -> None:
    version = getattr(plugin, "contract_version", 1)
    if not isinstance(version, int):
        raise PluginError(f"its contract_version is {version!r}, which must be a whole number")
    if not OLDEST_CONTRACT <= version <= CONTRACT_VERSION:
        taken = {OLDEST_CONTRACT, CONTRACT_VERSION}
        newer = version > CONTRACT_VERSION
        raise ContractError(
            f"made for contract version {version}, this toolkit takes "
            f"{' to '.join(map(str, sorted(taken)))}",
            "Update mcltoolkit or install an older version of the plugin"
            if newer
            else "Update the plugin or install an older version of mcltoolkit",
        )
