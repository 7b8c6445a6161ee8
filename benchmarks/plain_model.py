"""A whole model done plain: its ops, and the ways of working that are no single ops.

Beside the plain ops: label maps are dense one-hot maps in every network; each SPADE layer resizes
its context and convolves it itself, with three convolutions; fake and real image pass the
discriminator as one batch, with a graph for both. Optimiser, memory layout, activation
checkpointing and precision are those of the config, for both forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.plain import substituted
from mcltoolkit.discriminators import multi_scale
from mcltoolkit.encoders import domain
from mcltoolkit.generators import spade as generator
from mcltoolkit.layers import spade
from mcltoolkit.layers.padding import reflect_pad
from mcltoolkit.models import exemplar_gan
from mcltoolkit.structures import Batch, DiscriminatorPass, Translation

TAKE_IDS = (generator.SPADEGenerator, domain.DomainEncoder, multi_scale.MultiScaleDiscriminator)


@contextmanager
def plain_model() -> Iterator[None]:
    """Inside, models compute plainly; those that exist already, too."""
    with substituted(), ExitStack() as stack:
        for kind in TAKE_IDS:
            if getattr(kind, "takes_context", False):
                stack.enter_context(patch.object(kind, "takes_context", False))
        if hasattr(spade, "shared_hidden"):
            stack.enter_context(patch.object(spade, "shared_hidden", _nothing_shared))
        stack.enter_context(patch.object(spade.SPADE, "forward", _modulated))
        gan = exemplar_gan.ExemplarGAN
        stack.enter_context(patch.object(gan, "generator_losses", _generator_losses))
        stack.enter_context(patch.object(gan, "discriminator_losses", _discriminator_losses))
        yield


def _nothing_shared(layers: Any, *_: Any, **__: Any) -> tuple[None, ...]:
    return (None,) * len(layers)


def _modulated(
    self: spade.SPADE,
    features: Tensor,
    context: Any,
    slope: float | None = None,
    hidden: Tensor | None = None,
    pad: int = 0,
) -> Tensor:
    """SPADE as its paper has it."""
    resized = functional.interpolate(_dense(context, features), size=features.shape[-2:])
    seen = reflect_pad(functional.relu(self.shared(resized)), self.pad)
    out = self.norm(features) * (1 + self.gamma(seen)) + self.beta(seen)
    return reflect_pad(out if slope is None else functional.leaky_relu(out, slope), pad)


def _dense(context: Any, features: Tensor) -> Tensor:
    """The context in one piece, which all layers that read it have in common."""
    if isinstance(context, Tensor):
        return context
    if not hasattr(context, "in_one_piece"):
        context.in_one_piece = context.dense(features.dtype)
    return context.in_one_piece  # type: ignore[no-any-return]


def _generator_losses(
    self: exemplar_gan.ExemplarGAN, batch: Batch
) -> tuple[Translation, dict[str, Tensor]]:
    self._check_requirements(batch)
    translation = self(batch)
    self._check_made(translation)
    if self.discriminator is not None:
        discriminator = exemplar_gan.unwrap(self.discriminator)
        discriminator.requires_grad_(False)
        translation.fake_pass, real = _judge(discriminator, batch, translation.fake)
        discriminator.requires_grad_(True)
        translation.real_pass = DiscriminatorPass(
            [[layer.detach() for layer in scale] for scale in real.scales]
        )
    return translation, self.losses(translation)


def _discriminator_losses(
    self: exemplar_gan.ExemplarGAN, batch: Batch, fake: Tensor
) -> dict[str, Tensor]:
    objective: Any = exemplar_gan.unwrap(self.losses)
    passes = _judge(self.discriminator, batch, fake.detach())
    return objective.discriminator_losses(*passes)  # type: ignore[no-any-return]


def _judge(
    discriminator: Any, batch: Batch, fake: Tensor
) -> tuple[DiscriminatorPass, DiscriminatorPass]:
    assert batch.condition is not None
    assert batch.truth is not None
    condition = batch.condition.to(fake.dtype)
    images = torch.cat([fake, batch.truth.to(fake.dtype)])
    both = discriminator(torch.cat([condition, condition]), images)
    halves = [[layer.chunk(2) for layer in scale] for scale in both.scales]
    fakes, reals = ([[pair[i] for pair in scale] for scale in halves] for i in (0, 1))
    return DiscriminatorPass(fakes), DiscriminatorPass(reals)
