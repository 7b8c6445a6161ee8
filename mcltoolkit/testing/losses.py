"""Conformance tests of losses, on a small model that runs the whole training step."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.errors import ConfigError
from mcltoolkit.losses.audit import reaches
from mcltoolkit.losses.base import AdversarialTerm, Loss
from mcltoolkit.models.exemplar_gan import ExemplarGAN
from mcltoolkit.plugins import load_plugins
from mcltoolkit.registry import LOSSES, MODELS
from mcltoolkit.structures import Batch, Translation, collate
from mcltoolkit.testing.component import deviation
from mcltoolkit.testing.ranks import ranks

CLASSES = 6
_ENCODER: Mapping[str, Any] = dict(
    type="DomainEncoder", base_width=4, spade_hidden=4, spade_blocks=1, init_gain=1.0
)
SMALL_MODEL: Mapping[str, Any] = dict(
    type="ExemplarGAN",
    condition_channels=CLASSES,
    condition_encoder=_ENCODER,
    image_encoder=_ENCODER,
    correspondence=dict(type="CosineCorrespondence", embed=8, blocks=0, temperature=0.1),
    generator=dict(
        type="SPADEGenerator", base_width=4, ups=2, spade_hidden=4, attention=False, init_gain=1.0
    ),
    discriminator=dict(
        type="MultiScaleDiscriminator", base_width=4, layers=2, scales=1, attention=False
    ),
    vgg=dict(type="VGG19Features", weights="random", width_divisor=16),
)
ADVERSARIAL: Mapping[str, Any] = dict(type="HingeAdversarialLoss")
DEGENERATE = ("zero", "constant", "equal")


class LossTests:
    """Conformance tests of a loss (`mcltoolkit.losses.base.Loss`).

    Class attributes:
        component: the registered name.
        settings: of the loss, as in a config.
        plugins: modules that register it, unless an installed plugin does.
        model: settings of `ExemplarGAN` that replace those of the small model, such as a
            correspondence that provides what the loss reads.
        size: (H, W) of the synthetic scenes; a multiple of 32 suits every network.
        amp_tolerance: largest relative deviation of the value under autocast.
    """

    component: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}
    plugins: ClassVar[tuple[str, ...]] = ()
    model: ClassVar[Mapping[str, Any]] = {}
    size: ClassVar[tuple[int, int]] = (32, 32)
    amp_tolerance: ClassVar[float] = 0.02

    def build(self, seed: int = 0, **changes: Any) -> ExemplarGAN:
        """A small model whose objective has the loss as the term `tested`."""
        assert self.component, f"{type(self).__name__}.component names no registered loss"
        load_plugins(self.plugins)
        torch.manual_seed(seed)
        losses = {"tested": {"type": self.component, **self.settings, **changes}}
        if not issubclass(LOSSES.get(self.component), AdversarialTerm):
            losses["adv"] = dict(ADVERSARIAL)  # for a loss that reads the discriminator
        model: ExemplarGAN = MODELS.build({**SMALL_MODEL, **self.model, "losses": losses})
        return model.train()

    def batch(self, count: int = 2, first: int = 0) -> Batch:
        """Synthetic scenes, conditions dense, each its own exemplar's pair."""
        scenes = SyntheticScenes(
            split="train", length=first + count, num_classes=CLASSES, size=self.size
        )
        samples = [scenes[index] for index in range(first, first + count)]
        batch = collate(samples).with_one_hot(CLASSES)
        return replace(batch, paired=torch.ones(count, dtype=torch.bool))

    def translation(self, model: ExemplarGAN, batch: Batch | None = None) -> Translation:
        """The bundle of one forward pass."""
        torch.manual_seed(3)
        return model.generator_losses(batch or self.batch())[0]

    def value(self, model: ExemplarGAN, translation: Translation, seed: int = 4) -> Tensor:
        """The loss of a bundle, unweighted."""
        torch.manual_seed(seed)
        return self.term(model)(translation)

    def term(self, model: ExemplarGAN) -> Loss:
        """The loss in the model's objective."""
        return model.losses.terms["tested"]  # type: ignore[return-value]

    def test_registered(self) -> None:
        """The name is known, and the class is a loss."""
        assert isinstance(self.term(self.build()), Loss)

    def test_scalar(self) -> None:
        """The value is one finite number with a graph."""
        model = self.build()
        for count in (1, 2):
            value = self.value(model, self.translation(model, self.batch(count)))
            assert value.shape == (), f"a value of shape {tuple(value.shape)}; allowed is a scalar"
            assert value.dtype in (torch.float32, torch.float64), f"a value in {value.dtype}"
            assert value.isfinite(), f"the value is {value.item()}"
            assert value.requires_grad, "the value has no graph: nothing would be learned from it"

    def test_gradients(self) -> None:
        """The loss moves the network, and all of its own weights."""
        model = self.build()
        value = self.value(model, self.translation(model))
        assert reaches(value, list(model.translator.parameters())), (
            "no gradient reaches the network: look for a detached input"
        )
        own = [p for p in self.term(model).parameters() if p.requires_grad]
        everything = [*model.translator.parameters(), *own]
        gradients = torch.autograd.grad(value, everything, allow_unused=True)
        for gradient in gradients:
            assert gradient is None or gradient.isfinite().all(), "a gradient is not finite"
        for gradient in gradients[len(everything) - len(own) :] if own else ():
            assert gradient is not None, "a weight of the loss takes no part in it"

    def test_weight(self) -> None:
        """The objective multiplies by `weight`, and a negative one is refused."""
        light, heavy = self.build(weight=1.0), self.build(weight=2.5)
        values = []
        for model in (light, heavy):
            translation = self.translation(model)
            torch.manual_seed(4)
            values.append(model.losses(translation)["tested"].detach())
        torch.testing.assert_close(values[1], 2.5 * values[0])
        try:
            self.build(weight=-1.0)
        except ConfigError:
            return
        raise AssertionError("a weight below 0 is taken; hand `weight` on to Loss.__init__")

    def test_mixed_precision(self) -> None:
        """Under autocast (bfloat16 on the CPU, float16 on CUDA) the value is near that in
        float32."""
        self._check_mixed_precision("cpu", torch.bfloat16)
        if torch.cuda.is_available():
            self._check_mixed_precision("cuda", torch.float16)

    def _check_mixed_precision(self, device: str, dtype: torch.dtype) -> None:
        model = self.build().to(device)
        translation = self.translation(model, self.batch().to(device))
        plain = self.value(model, translation)
        with torch.autocast(device, dtype=dtype):
            mixed = self.value(model, translation)
        assert mixed.isfinite(), f"not finite under autocast to {dtype}"
        error = float(
            (mixed.detach() - plain.detach()).abs() / plain.detach().abs().clamp_min(1e-3)
        )
        assert error <= self.amp_tolerance, f"the value under autocast is {error:.3g} off"

    def test_half_precision_features(self) -> None:
        """Features that arrive in float16 or bfloat16, as they do under autocast, are taken."""
        model = self.build()
        for dtype in (torch.bfloat16, torch.float16):
            translation = self.translation(model)
            value = self.value(model, _changed(translation, partial(_cast, dtype)))
            assert value.isfinite(), f"not finite for features in {dtype}"
            value.backward()
            for name, parameter in model.translator.named_parameters():
                if parameter.grad is not None:
                    assert parameter.grad.isfinite().all(), f"gradient of {name} for {dtype}"
            model.zero_grad()

    def test_degenerate_features(self) -> None:
        """Features, images and warps that are zero, all alike, or equal to what they are compared
        with give finite values and gradients: trainings begin and collapse there."""
        model = self.build()
        for kind in DEGENERATE:
            translation = _degenerate(self.translation(model), kind)
            held = [*vars(translation).values(), *vars(translation.alignment).values()]
            leaves = [value for value in held if _leaf(value)]
            torch.manual_seed(4)
            value = model.losses(translation)["tested"]  # with image features of these images
            assert value.isfinite(), f"not finite for {kind} features"
            gradients = torch.autograd.grad(value, leaves, allow_unused=True)
            for gradient in gradients:
                assert gradient is None or gradient.isfinite().all(), (
                    f"a gradient for {kind} features is not finite"
                )

    def test_deterministic(self) -> None:
        """The same seed gives the same value."""
        values = []
        for _ in range(2):
            model = self.build()
            values.append(self.value(model, self.translation(model)).detach())
        assert torch.equal(values[0], values[1])

    def test_state_dict_round_trip(self) -> None:
        """The loss's own weights, saved and loaded into one of another seed, give the same value;
        the file holds tensors only."""
        model, other = self.build(0), self.build(1)
        file = io.BytesIO()
        torch.save(self.term(model).state_dict(), file)
        file.seek(0)
        self.term(other).load_state_dict(torch.load(file, weights_only=True))
        translation = self.translation(model)
        ours, theirs = self.value(model, translation), self.value(other, translation)
        assert torch.equal(ours, theirs), "the value differs after loading"

    def test_paired_only(self) -> None:
        """A loss for paired samples alone is 0 in a batch without one."""
        model = self.build()
        if not self.term(model).paired_only:
            return
        batch = replace(self.batch(), paired=torch.zeros(2, dtype=torch.bool))
        value = self.value(model, self.translation(model, batch))
        assert value == 0, f"{value.item()} for a batch without a pair"

    def test_distributed(self) -> None:
        """Under DistributedDataParallel the gradients of its own weights are the ranks' mean."""
        names = ("component", "settings", "model", "size")
        attributes = {name: getattr(type(self), name) for name in names}
        for deviations in ranks().run(_compare_ranks, attributes, plugins=self.plugins):
            for name, error in deviations.items():
                assert error < 1e-3, f"gradient of {name} under DDP is {error:.3g} off"


def _leaf(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.is_leaf


def _changed(translation: Translation, change: Callable[[str, Tensor], Tensor]) -> Translation:
    """A copy with `change(name, value)` for every tensor of the bundle and of its alignment."""

    def changed(held: Any) -> dict[str, Any]:
        return {n: change(n, v) for n, v in vars(held).items() if isinstance(v, Tensor)}

    alignment = replace(translation.alignment, **changed(translation.alignment))
    return replace(translation, alignment=alignment, **changed(translation))


def _cast(dtype: torch.dtype, name: str, value: Tensor) -> Tensor:
    return value.to(dtype)


def _degenerate(translation: Translation, kind: str) -> Translation:
    """Leaves in place of features, descriptors, images and warps."""
    truth = translation.batch.truth
    known = {**vars(translation), **vars(translation.alignment)}
    known |= {"fake": truth, "warped": truth, "cycle": translation.alignment.cycle_target}

    def make(name: str, value: Tensor) -> Tensor:
        if kind == "zero":
            made = torch.zeros_like(value)
        elif kind == "constant":
            made = torch.full_like(value, value.shape[1] ** -0.5)
        else:
            same = name.replace("truth_", "condition_").replace("exemplar_", "condition_")
            made = known[same].clone()
        return made.detach().requires_grad_()

    return replace(_changed(translation, make), image_features=None)


def _compare_ranks(attributes: dict[str, Any]) -> dict[str, float]:
    """Relative deviation of the loss's gradients under DDP from the ranks' mean."""
    tests = type("Remote", (LossTests,), attributes)()
    batch = tests.batch(2, first=2 * dist.get_rank())
    plain, wrapped = tests.build(), tests.build()

    def backward(model: ExemplarGAN, objective: Any) -> None:
        translation = tests.translation(model, batch)
        torch.manual_seed(4)
        objective(translation)["tested"].backward()

    backward(plain, plain.losses)
    own = {n: p for n, p in plain.losses.named_parameters() if p.requires_grad}
    if not own:
        return {}
    parallel = DistributedDataParallel(wrapped.losses)
    backward(wrapped, parallel)
    found = dict(wrapped.losses.named_parameters())
    deviations = {}
    for name, parameter in own.items():
        assert parameter.grad is not None
        mean = parameter.grad.clone()
        dist.all_reduce(mean)
        gradient = found[name].grad
        assert gradient is not None
        deviations[name] = deviation(gradient, mean / dist.get_world_size())
    return deviations
