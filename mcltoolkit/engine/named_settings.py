"""mmengine's Runner, whose errors say which setting of the config they are about.

mmengine builds from settings that nobody has looked at before; what goes wrong there is a
TypeError or an assertion from deep inside. Each of its builders is one setting, so the builders
are where the setting's name is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.runner import Runner

from mcltoolkit.errors import ConfigError, ToolkitError, described


@contextmanager
def setting(name: str, value: Any = None) -> Iterator[None]:
    """What goes wrong inside is put down to a setting of the config.

    Args:
        name: its place, such as `optim_wrapper`.
        value: what it is set to, shown where given.

    Raises:
        ConfigError: in place of any error that is not the toolkit's own.
    """
    try:
        yield
    except ToolkitError:
        raise
    except Exception as error:
        shown = "" if value is None else f" is {value!r}, which"
        raise ConfigError(
            f"config setting {name}{shown} cannot be used: {described(error)}; correct it, see "
            f"configs/_base_ for the form"
        ) from error


class NamedSettingsRunner(Runner):
    """Names the setting in every error while things are built from the config.

    Raises:
        ConfigError: a setting cannot be used.
    """

    @classmethod
    def from_cfg(cls, cfg: Any) -> Runner:
        """The runner of a config."""
        with setting("model, a data loader or work_dir"):
            return super().from_cfg(cfg)

    def setup_env(self, env_cfg: Any) -> None:
        """`env_cfg`."""
        with setting("env_cfg", env_cfg):
            super().setup_env(env_cfg)

    def build_logger(self, log_level: Any = "INFO", **kwargs: Any) -> Any:
        """`log_level`."""
        with setting("log_level", log_level):
            return super().build_logger(log_level, **kwargs)

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """`visualizer`."""
        with setting("visualizer", visualizer):
            return super().build_visualizer(visualizer)

    def build_log_processor(self, log_processor: Any) -> Any:
        """`log_processor`."""
        with setting("log_processor", log_processor):
            processor = super().build_log_processor(log_processor)
            size = getattr(processor, "window_size", 1)
            if not isinstance(size, int) or size < 1:  # mmengine finds out at the first log line
                raise ValueError(f"window_size is {size!r}, allowed are whole numbers >= 1")
            return processor

    def build_model(self, model: Any) -> Any:
        """`model`."""
        with setting("model"):
            return super().build_model(model)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """`optim_wrapper`."""
        with setting("optim_wrapper", optim_wrapper):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """`param_scheduler`."""
        with setting("param_scheduler", scheduler):
            return super().build_param_scheduler(scheduler)

    def build_evaluator(self, evaluator: Any) -> Any:
        """`val_evaluator` and `test_evaluator`."""
        with setting("val_evaluator or test_evaluator", evaluator):
            return super().build_evaluator(evaluator)

    def build_train_loop(self, loop: Any) -> Any:
        """`train_cfg`."""
        with setting("train_cfg", loop):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: Any) -> Any:
        """`val_cfg`."""
        with setting("val_cfg", loop):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> Any:
        """`test_cfg`."""
        with setting("test_cfg", loop):
            return super().build_test_loop(loop)

    def register_hook(self, hook: Any, priority: Any = None) -> None:
        """One of `default_hooks` or `custom_hooks`."""
        with setting("default_hooks or custom_hooks", hook):
            super().register_hook(hook, priority)

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """`default_hooks` and `custom_hooks`."""
        with setting("default_hooks or custom_hooks"):
            super().register_hooks(default_hooks, custom_hooks)
