"""One registry a kind of component.

The project's own kinds (`ENCODERS` ... `LOSSES`) are root registries: mmengine allows only one
child a scope under its `MODELS`. The kinds that mmengine's Runner builds from are children of
mmengine's roots, so that a config may name the toolkit's components and mmengine's alike.

Plugins are loaded when a component is first looked up, in whichever process that happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mmengine.registry as mm

from mcltoolkit.errors import (
    ConfigError,
    ToolkitError,
    UnknownComponentError,
    described,
    near_matches,
)

SCOPE = "mcltoolkit"


class Registry(mm.Registry):
    """mmengine's registry that loads plugins lazily, knows who registered what, and explains
    an unknown name."""

    def __init__(self, kind: str, parent: mm.Registry | None = None) -> None:
        super().__init__(kind, parent=parent, scope=SCOPE)
        self.origins: dict[str, str] = {}

    def import_from_location(self) -> None:
        """Load the plugins (mmengine calls this before every look-up)."""
        from mcltoolkit.plugins import load_plugins

        load_plugins()

    def get(self, key: str) -> Any:
        """The component registered as `key`, or the object at the dotted path `key`.

        Raises:
            UnknownComponentError: nothing has that name; the message lists near matches and the
                plugins that could not be loaded.
        """
        found = super().get(key)
        if found is None:
            from mcltoolkit.plugins import failed_plugins

            known = sorted(set(self._module_dict) | set(self._parent_names()))
            hint = near_matches(key, known)
            failed = "".join(f"\nNot loaded: {report.line()}" for report in failed_plugins())
            raise UnknownComponentError(
                f"unknown {self.name} {key!r}{hint}\nKnown: {', '.join(known)}.\n"
                f"Correct `type`, or install the plugin that has it and list it in `plugins=[...]` "
                f"if it has no entry point (`mcltoolkit plugins` shows what is loaded).{failed}"
            )
        return found

    def origin(self, key: str) -> str:
        """Who registered the component `key`: a plugin, or the package that it lies in.

        Raises:
            UnknownComponentError: see `get`.
        """
        found = self.get(key)
        return self.origins.get(key) or str(found.__module__).split(".")[0]

    def example(self) -> str:
        """The name of one registered component."""
        self.import_from_location()
        return min(self._module_dict, default="NAME")

    def _parent_names(self) -> list[str]:
        return [] if self.parent is None else list(self.parent.module_dict)

    def _register_module(
        self, module: Any, module_name: str | list[str] | None = None, force: bool = False
    ) -> None:
        from mcltoolkit.plugins import load_builtin, loading_plugin

        if not module.__module__.startswith(f"{SCOPE}."):
            load_builtin()  # so that a name of the toolkit's own is taken
        names = [module_name] if isinstance(module_name, str) else module_name
        if names is None:
            names = [module.__name__]
        names = [name for name in names if self._module_dict.get(name) is not module]
        for name in names:
            if name in self._module_dict and not force:
                present = self._module_dict[name]
                raise KeyError(
                    f"the {self.name} {name!r} is already registered by "
                    f"{self.origins.get(name, present.__module__)} ({present.__module__}); "
                    f"register {module.__module__}.{module.__qualname__} under another name"
                )
        if names:
            super()._register_module(module, names, force)
        for name in names:
            self.origins[name] = loading_plugin() or module.__module__.split(".")[0]


ENCODERS = Registry("encoder")
CORRESPONDENCES = Registry("correspondence")
GENERATORS = Registry("generator")
DISCRIMINATORS = Registry("discriminator")
LOSSES = Registry("loss")

MODELS = Registry("model", mm.MODELS)
MODEL_WRAPPERS = Registry("model_wrapper", mm.MODEL_WRAPPERS)
RUNNERS = Registry("runner", mm.RUNNERS)
LOOPS = Registry("loop", mm.LOOPS)
HOOKS = Registry("hook", mm.HOOKS)
DATASETS = Registry("dataset", mm.DATASETS)
DATA_SAMPLERS = Registry("data_sampler", mm.DATA_SAMPLERS)
TRANSFORMS = Registry("transform", mm.TRANSFORMS)
FUNCTIONS = Registry("function", mm.FUNCTIONS)
OPTIMIZERS = Registry("optimizer", mm.OPTIMIZERS)
OPTIM_WRAPPERS = Registry("optim_wrapper", mm.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = Registry("optim_wrapper_constructor", mm.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = Registry("param_scheduler", mm.PARAM_SCHEDULERS)
METRICS = Registry("metric", mm.METRICS)
EVALUATOR = Registry("evaluator", mm.EVALUATOR)
VISUALIZERS = Registry("visualizer", mm.VISUALIZERS)
VISBACKENDS = Registry("vis_backend", mm.VISBACKENDS)
LOG_PROCESSORS = Registry("log_processor", mm.LOG_PROCESSORS)
STRATEGIES = Registry("strategy", mm.STRATEGIES)

REGISTRIES: dict[str, Registry] = {
    "encoders": ENCODERS,
    "correspondences": CORRESPONDENCES,
    "generators": GENERATORS,
    "discriminators": DISCRIMINATORS,
    "losses": LOSSES,
    "models": MODELS,
    "model_wrappers": MODEL_WRAPPERS,
    "runners": RUNNERS,
    "loops": LOOPS,
    "hooks": HOOKS,
    "datasets": DATASETS,
    "data_samplers": DATA_SAMPLERS,
    "transforms": TRANSFORMS,
    "functions": FUNCTIONS,
    "optimizers": OPTIMIZERS,
    "optim_wrappers": OPTIM_WRAPPERS,
    "optim_wrapper_constructors": OPTIM_WRAPPER_CONSTRUCTORS,
    "param_schedulers": PARAM_SCHEDULERS,
    "metrics": METRICS,
    "evaluators": EVALUATOR,
    "visualizers": VISUALIZERS,
    "vis_backends": VISBACKENDS,
    "log_processors": LOG_PROCESSORS,
    "strategies": STRATEGIES,
}


def build_component(
    registry: Registry, settings: Mapping[str, Any], where: str, **defaults: Any
) -> Any:
    """Build a component from its config, with `defaults` for what the config leaves out.

    Args:
        registry: of the component's kind.
        settings: config with `type`.
        where: the setting's place in the config, such as `model.generator`, for messages.

    Raises:
        ConfigError: no dict with a `type`, an unknown component, or settings that do not fit it.
    """
    if not isinstance(settings, Mapping) or not settings.get("type"):
        raise ConfigError(
            f"{where} is {settings!r}; it must be a dict with the key 'type' that names a "
            f"{registry.name}, such as dict(type='{registry.example()}')"
        )
    try:
        return registry.build({**defaults, **settings})
    except ToolkitError:
        raise
    except Exception as error:  # a component may stumble over its settings anywhere
        raise ConfigError(
            f"{where} (type {settings['type']!r}) cannot be built: {described(error)}; settings "
            f"given: {sorted(str(key) for key in settings if key != 'type')}, filled in: "
            f"{sorted(defaults)}"
        ) from error
