"""Adversarial training around the translator: one generator step, then one discriminator step on
the same fake image (two time-scale update rule, as CoCosNet trains)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mcltoolkit.context import as_dense, for_part, given, sample_of, takes_context
from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.layers import SpectralNorm, vectors_held
from mcltoolkit.losses.objective import GeneratorObjective
from mcltoolkit.models.step_guard import StepGuard
from mcltoolkit.models.translator import Settings, Translator
from mcltoolkit.precision import at_least_float32
from mcltoolkit.registry import DISCRIMINATORS, MODELS, build_component
from mcltoolkit.structures import Batch, DiscriminatorPass, Prediction, Translation

TRANSLATOR_OUTPUTS = frozenset({"truth_features", "warped_labels", "cycle"})
OF_ENCODERS = frozenset({"features", "truth_features"})
Watcher = Callable[[Translation], Mapping[str, Tensor]]
OF_BATCH = ("truth", "labels", "exemplar_labels", "exemplar_condition")


@MODELS.register_module()
class BatchPreprocessor(BaseDataPreprocessor):
    """Checks a batch on the CPU, moves it to the device and takes its labels for one-hot maps.

    Args:
        condition_channels: C.

    Attributes:
        ahead: batches that a prefetching loop has prepared before their turn, and what gives them.
    """

    def __init__(self, condition_channels: int, non_blocking: bool = True) -> None:
        super().__init__(non_blocking=non_blocking)
        self.condition_channels = condition_channels
        self.ahead: list[tuple[Batch, Callable[[], Batch]]] = []

    def forward(self, data: Batch, training: bool = False) -> Batch:
        """The batch on the model's device, with (B, C, H, W) conditions, see `Batch`.

        Raises:
            DataError: labels or channels that the model cannot take.
        """
        for batch, ready in self.ahead:
            if batch is data:
                self.ahead = [pair for pair in self.ahead if pair[0] is not data]
                return ready()
        data.check(self.condition_channels)
        moved = data.to(self.device, non_blocking=bool(self._non_blocking))
        return moved.with_one_hot(self.condition_channels)


@MODELS.register_module()
class ExemplarGAN(BaseModel):
    """Translator, discriminator and losses, with the training step.

    The direct children `translator`, `discriminator` and `losses` are what a distributed run wraps,
    each on its own; they are entered only through their `forward`.

    Args:
        condition_channels: C, channels of the condition (number of classes for label maps).
        condition_encoder, image_encoder, self_correlation, correspondence, generator, shift_truth:
            see `Translator`.
        discriminator: config, or None; built only if a loss needs it.
        losses: {name: loss config}; None or weight 0 leaves a term out.
        vgg: config of the fixed feature network, for the losses that read `image_features`.

    Attributes:
        watchers: functions that look at what a training step made, after the step and without
            graph; what they return joins the step's log. Empty unless a hook adds some.
    """

    def __init__(
        self,
        condition_channels: int,
        condition_encoder: Settings | None,
        image_encoder: Settings | None,
        correspondence: Settings,
        generator: Settings,
        losses: Mapping[str, Settings | None],
        discriminator: Settings | None = None,
        self_correlation: Settings | None = None,
        vgg: Settings | None = None,
        shift_truth: bool = False,
    ) -> None:
        super().__init__(data_preprocessor=BatchPreprocessor(condition_channels))
        self.translator = Translator(
            condition_channels,
            condition_encoder,
            image_encoder,
            correspondence,
            generator,
            self_correlation,
            shift_truth,
        )
        self.losses = GeneratorObjective(
            losses,
            vgg,
            feature_channels=self.translator.feature_channels,
            descriptor_channels=self.translator.descriptor_channels,
        )
        self.requires = self.losses.requires
        self._check_provided()
        self.outputs = (TRANSLATOR_OUTPUTS | self.translator.provides) & self.requires
        self.discriminator: nn.Module | None = None
        if "discriminator" in self.requires:
            if discriminator is None:
                raise ConfigError(
                    f"losses {self.losses.users_of('discriminator')} need a discriminator, but "
                    f"model.discriminator is None; set it, or remove these losses"
                )
            if not self.losses.adversarial:
                raise ConfigError(
                    f"losses {self.losses.users_of('discriminator')} read the discriminator, but "
                    f"no adversarial loss trains it; add one, or remove these losses"
                )
            self.discriminator = build_component(
                DISCRIMINATORS,
                discriminator,
                "model.discriminator",
                in_channels=condition_channels + 3,
            )
        self.progress = 0.0
        self.guard = StepGuard()
        self.watchers: list[Watcher] = []

    def forward(self, inputs: Batch, data_samples: Any = None, mode: str = "tensor") -> Translation:
        """The translation of a batch on the model's device, from `BatchPreprocessor`."""
        return self.translator(inputs, self.outputs, self.progress)

    def generator_losses(self, batch: Batch) -> tuple[Translation, dict[str, Tensor]]:
        """Forward pass and weighted generator-side losses, with the discriminator frozen."""
        self._check_requirements(batch)
        translation = self(batch)
        self._check_made(translation)
        if self.discriminator is not None:
            discriminator = unwrap(self.discriminator)
            discriminator.requires_grad_(False)
            judged = _judge_for_generator(discriminator, batch, translation.fake)
            discriminator.requires_grad_(True)
            translation.fake_pass, translation.real_pass = judged
        return translation, self.losses(translation)

    def discriminator_losses(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """Discriminator-side losses for an image (B, 3, H, W) without graph."""
        assert self.discriminator is not None
        objective: GeneratorObjective = unwrap(self.losses)
        return objective.discriminator_losses(*_judge(self.discriminator, batch, fake.detach()))

    def train_step(self, data: Batch, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """One step of both optimisers on the same fake image.

        Where `guard` leaves the generator's step out, the discriminator's is left out, too: the
        fake image is not to be trusted.
        Where they accumulate gradients, the ranks exchange them once a window, at its last batch.

        Returns:
            Weighted losses by name, `loss` (their sum), the discriminator's and what `watchers`
            found, for the log.
        """
        batch = self.data_preprocessor(data, True)
        generator: OptimWrapper = optim_wrapper["generator"]
        self.guard.begin("generator", batch)
        with generator.optim_context(self):
            translation, losses = self.generator_losses(batch)
            if not losses:
                raise ConfigError(
                    "model.losses has no loss of non-zero weight: there is nothing to train; set "
                    "at least one"
                )
            total = torch.stack([at_least_float32(term) for term in losses.values()]).sum()
        self.guard.computed(losses, total)
        with self._exchange(generator):
            generator.update_params(total)
        log = {"loss": total.detach()}
        log.update({f"loss_{name}": term.detach() for name, term in losses.items()})
        if self.discriminator is not None and not self.guard.dropped:
            wrapper: OptimWrapper = optim_wrapper["discriminator"]
            self.guard.begin("discriminator", batch, translation.fake)
            with wrapper.optim_context(self):
                terms = self.discriminator_losses(batch, translation.fake)
                total = torch.stack([at_least_float32(term) for term in terms.values()]).sum()
            self.guard.computed(terms, total)
            with self._exchange(wrapper):
                wrapper.update_params(total)
            log.update({f"loss_d_{name}": term.detach() for name, term in terms.items()})
        if self.watchers and not self.guard.dropped:
            with torch.no_grad():
                for watch in self.watchers:
                    log.update(watch(translation))
        return self.guard.logged(log)

    @torch.no_grad()
    def test_step(self, data: Batch) -> list[Prediction]:
        """Translate a batch from a loader into one `Prediction` a sample."""
        return self.predict(self.data_preprocessor(data, False))

    def val_step(self, data: Batch) -> list[Prediction]:
        """As `test_step`."""
        return self.test_step(data)

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Prediction]:
        """Translate a batch on the model's device, from `BatchPreprocessor`."""
        known = batch.given_exemplar_condition is not None
        wanted = frozenset({"warped_labels"} if known else ())
        translation: Translation = self.translator(batch, wanted)
        alignment = translation.alignment

        def pick(values: Tensor | None, index: int) -> Tensor | None:
            return None if values is None else values[index]

        condition = batch.given_condition
        assert condition is not None
        return [
            Prediction(
                name=name,
                fake=translation.fake[i].float(),
                warped=alignment.warped[i].float(),
                exemplar=batch.exemplar[i],
                condition=sample_of(condition, i),  # type: ignore[arg-type]
                match=alignment.match,
                index=i,
                truth=pick(batch.truth, i),
                labels=pick(batch.labels, i),
                exemplar_labels=pick(batch.exemplar_labels, i),
                warped_labels=pick(alignment.warped_labels, i),
                exemplar_name=batch.exemplar_names[i] if batch.exemplar_names else "",
                paired=bool(batch.paired[i]),
                exemplar_positions=pick(batch.exemplar_positions, i),
            )
            for i, name in enumerate(batch.names)
        ]

    @contextmanager
    def without_wrappers(self) -> Iterator[None]:
        """Children free of distributed wrappers, for passes outside the training step."""
        wrapped = dict(self._modules)
        try:
            for name, child in wrapped.items():
                self._modules[name] = unwrap(child) if child is not None else None
            yield
        finally:
            self._modules.update(wrapped)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients are accumulated inside, not exchanged between ranks.

        DDP asks in the forward pass whether it will exchange, FSDP in the backward pass: both have
        to be inside.
        """
        sharded = [c for c in self.children() if hasattr(c, "set_requires_gradient_sync")]
        with ExitStack() as stack:
            for child in self.children():
                if hasattr(child, "no_sync"):
                    stack.enter_context(child.no_sync())  # type: ignore[operator]
            for child in sharded:
                child.set_requires_gradient_sync(False)  # type: ignore[operator]
            try:
                yield
            finally:
                for child in sharded:
                    child.set_requires_gradient_sync(True)  # type: ignore[operator]

    def _exchange(self, wrapper: OptimWrapper) -> AbstractContextManager[None]:
        """For the backward pass; `wrapper.optim_context` is the forward pass's."""
        return nullcontext() if wrapper.should_sync() else self.no_sync()

    def _check_provided(self) -> None:
        """Refuse losses that read what no part of this model makes."""
        made = {*OF_BATCH, *TRANSLATOR_OUTPUTS, *OF_ENCODERS, "discriminator", "image_features"}
        if self.translator.image_encoder is None:
            made -= OF_ENCODERS
        made |= self.translator.provides
        for name in sorted(self.requires - made):
            raise ConfigError(
                f"losses {self.losses.users_of(name)} read {name!r}, which no part of this model "
                f"makes{near_matches(name, sorted(made))}; it makes {', '.join(sorted(made))}: use "
                f"a part that provides it, or set these losses to None"
            )

    def _check_made(self, translation: Translation) -> None:
        """Refuse a correspondence that cannot make what was asked for."""
        for name in ("warped_labels", "cycle"):
            if name in self.outputs and getattr(translation.alignment, name) is None:
                objective: GeneratorObjective = unwrap(self.losses)
                part = type(unwrap(self.translator).correspondence).__name__
                raise ConfigError(
                    f"losses {objective.users_of(name)} read '{name}', which model.correspondence "
                    f"({part}) does not make; use one that does, or set these losses to None"
                )

    def _check_requirements(self, batch: Batch) -> None:
        for name in OF_BATCH:
            if name in self.requires and given(batch, name) is None:
                objective: GeneratorObjective = unwrap(self.losses)
                raise ConfigError(
                    f"losses {objective.users_of(name)} need '{name}', which the samples "
                    f"{batch.names} do not have; use a data set that gives it, or set these "
                    f"losses to None"
                )


def unwrap(module: Any) -> Any:
    """The module inside a distributed wrapper, or the module itself."""
    return module.module if is_model_wrapper(module) else module


def _judge(
    discriminator: nn.Module, batch: Batch, fake: Tensor
) -> tuple[DiscriminatorPass, DiscriminatorPass]:
    """Discriminator outputs for fake and real images, which go through as one batch."""
    condition = batch.given_condition
    assert condition is not None
    assert batch.truth is not None
    if not takes_context(unwrap(discriminator)):  # such a one takes the conditions once for both
        condition = as_dense(condition)
        condition = torch.cat([condition, condition])
    both = discriminator(condition, torch.cat([fake, batch.truth.to(fake.dtype)]))
    halves = [[layer.chunk(2) for layer in scale] for scale in both.scales]
    fake_pass = DiscriminatorPass([[pair[0] for pair in scale] for scale in halves])
    real_pass = DiscriminatorPass([[pair[1] for pair in scale] for scale in halves])
    return fake_pass, real_pass


def _judge_for_generator(
    discriminator: nn.Module, batch: Batch, fake: Tensor
) -> tuple[DiscriminatorPass, DiscriminatorPass]:
    """As `_judge`, with a graph for the fake image alone, which a joint pass would keep and walk
    through for both. The real one meets the singular vectors that the fake one brought up to
    date, as in a joint pass."""
    if not _judges_apart(discriminator):
        judged, real = _judge(discriminator, batch, fake)
        detached = [[layer.detach() for layer in scale] for scale in real.scales]
        return judged, DiscriminatorPass(detached)
    assert batch.given_condition is not None
    assert batch.truth is not None
    condition = for_part(discriminator, batch.given_condition)
    # first, so that what is computed again in the backward pass starts where this pass did
    judged = discriminator(condition, fake)
    with torch.no_grad(), vectors_held(discriminator):
        real = discriminator(condition, batch.truth.to(fake.dtype))
    return judged, real


def _judges_apart(discriminator: nn.Module) -> bool:
    """Whether two passes give what a joint one does: nothing in it goes by the batch, and no state
    but spectral norm's may change from pass to pass."""
    return not any(
        isinstance(part, _BatchNorm) or (part._buffers and not isinstance(part, SpectralNorm))
        for part in discriminator.modules()
    )
