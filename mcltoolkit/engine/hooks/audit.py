"""Runs the loss-wiring audit at the start of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mcltoolkit.data.guarded import first_samples
from mcltoolkit.engine import random_state
from mcltoolkit.errors import LossWiringError
from mcltoolkit.losses.audit import dead_losses
from mcltoolkit.models.exemplar_gan import ExemplarGAN, unwrap
from mcltoolkit.registry import HOOKS
from mcltoolkit.structures import collate


@HOOKS.register_module()
class LossAuditHook(Hook):
    """Stops a training in which a configured loss moves nothing.

    Each generator-side loss of non-zero weight must send a non-zero gradient to a parameter of the
    translator, and each discriminator-side loss to one of the discriminator. Random state and the
    model's buffers are as before afterwards.

    Args:
        samples: samples of the training set to look at, as one batch; losses that only paired
            samples feed are looked at with each truth as its own exemplar.

    Raises:
        LossWiringError: names the losses that move nothing.
    """

    priority = "LOW"

    def __init__(self, samples: int = 2) -> None:
        self.samples = samples

    def before_train(self, runner: Runner) -> None:
        """Audit the losses on the first samples of the training set."""
        model: ExemplarGAN = unwrap(runner.model)
        dataset = runner.train_dataloader.dataset
        whole = getattr(runner.model, "gathered", nullcontext)  # of a sharded model
        with whole(), unchanged(model):
            data = collate(first_samples(dataset, self.samples))
            batch = model.data_preprocessor(data, True)
            dead = dead_generator_losses(model, batch)
            if dead and any(model.losses.terms[name].paired_only for name in dead):
                paired = model.data_preprocessor(data.as_paired(), True)
                dead = [name for name in dead_generator_losses(model, paired) if name in dead]
            dead += dead_discriminator_losses(model, batch)
        if dead:
            raise LossWiringError(
                f"losses {dead} have a non-zero weight but send no gradient to the network: they "
                f"would be logged and never learned from. Look for a detached input, a margin or "
                f"mask that hides everything, or frozen parameters; or set model.losses.NAME=None"
            )
        audited = sorted(unwrap(model.losses).terms)
        runner.logger.info(f"loss-wiring audit: {audited} all reach the network")


def dead_generator_losses(model: ExemplarGAN, batch: Any) -> list[str]:
    """Names of the losses that send no gradient to the translator."""
    _, losses = model.generator_losses(batch)
    return dead_losses(losses, list(model.translator.parameters()))


def dead_discriminator_losses(model: ExemplarGAN, batch: Any) -> list[str]:
    """Names of the discriminator-side losses that send it no gradient."""
    if model.discriminator is None:
        return []
    with torch.no_grad():
        fake = model(batch).fake
    losses = model.discriminator_losses(batch, fake)
    dead = dead_losses(losses, list(model.discriminator.parameters()))
    return [f"{name} (discriminator)" for name in dead]


@contextmanager
def unchanged(model: ExemplarGAN) -> Iterator[None]:
    """Random state, buffers and mode of `model` are restored afterwards; wrappers are off."""
    with random_state.preserved(), model.without_wrappers():
        buffers = {name: value.clone() for name, value in model.named_buffers()}
        training = {module: module.training for module in model.modules()}
        model.train()
        try:
            yield
        finally:
            for name, value in model.named_buffers():
                value.copy_(buffers[name])
            _restore_modes(training)


def _restore_modes(training: dict[nn.Module, bool]) -> None:
    for module, mode in training.items():
        module.training = mode
