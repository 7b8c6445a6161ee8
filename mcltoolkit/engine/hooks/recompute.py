"""Turns activation checkpointing on at the start of training."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mcltoolkit.engine.recompute import recompute_activations
from mcltoolkit.models.exemplar_gan import unwrap
from mcltoolkit.registry import HOOKS


@HOOKS.register_module()
class RecomputeHook(Hook):
    """Has parts of the model computed again in the backward pass; training puts one in for the
    setting `activation_checkpointing`.

    Args:
        modules: their names, see `recompute_activations`.

    Raises:
        ConfigError: a name that is no module of the model.
    """

    priority = "VERY_HIGH"  # before the loss-wiring audit, so that it sees what is trained

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules = [modules] if isinstance(modules, str) else list(modules)

    def before_train(self, runner: Runner) -> None:
        """Change the model."""
        found = recompute_activations(unwrap(runner.model), self.modules)
        runner.logger.info(f"activation checkpointing: {', '.join(found)}")
