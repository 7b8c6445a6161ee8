"""The sum of losses that a config names, and the fixed image features that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.losses.base import AdversarialTerm, Loss
from mcltoolkit.registry import LOSSES, MODELS, build_component
from mcltoolkit.structures import DiscriminatorPass, ImageFeatures, Translation

Settings = Mapping[str, Any]


class GeneratorObjective(nn.Module):
    """All configured losses by name; an ablation sets one of them to None.

    The feature network is held outside the module tree: it is in no checkpoint and in no
    optimiser, but moves with the module.

    Args:
        losses: {name: config with `type`}; None or weight 0 leaves the term out.
        vgg: config of the feature network (`layers` is filled in), for the losses that read
            `image_features`; built only if one does.
        feature_channels: channels C of the encoders' features.
        descriptor_channels: channels D of the descriptors. Both fill in the `in_channels` of
            losses whose class says `needs_channels`.

    Raises:
        ConfigError: a loss config that cannot be used, or no `vgg` where a loss needs it.
    """

    def __init__(
        self,
        losses: Mapping[str, Settings | None],
        vgg: Settings | None = None,
        feature_channels: int | None = None,
        descriptor_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.terms = nn.ModuleDict()
        for name, settings in losses.items():
            if settings is None:
                continue
            if isinstance(settings, Mapping) and settings.get("weight") == 0:
                continue
            if isinstance(settings, Mapping) and not settings.get("type"):
                others = [other for other in losses if other != name]
                raise ConfigError(
                    f"model.losses.{name} is {dict(settings)}, without a 'type' that names a loss"
                    f"{near_matches(name, others)}; losses of this config: {', '.join(others)}"
                )
            term = _build(name, settings, feature_channels, descriptor_channels)
            try:
                self.terms[name] = term
            except KeyError as error:  # torch reserves some names, and the dot
                raise ConfigError(
                    f"model.losses.{name}: a loss cannot be named {name!r} ({error.args[0]}); "
                    f"choose another name"
                ) from error
        self._features: tuple[nn.Module, ...] = ()  # a tuple, which nn.Module does not register
        if readers := self.users_of("image_features"):
            self._features = (self._build_features(vgg, readers),)

    @property
    def requires(self) -> frozenset[str]:
        """Union of what the losses read; see `Loss.requires`."""
        return frozenset[str]().union(*(term.requires for _, term in self._items()))

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that some loss reads."""
        return frozenset[str]().union(*(term.image_layers for _, term in self._items()))

    @property
    def adversarial(self) -> list[str]:
        """Names of the losses that also train the discriminator."""
        return [name for name, term in self._items() if isinstance(term, AdversarialTerm)]

    def users_of(self, requirement: str) -> list[str]:
        """Names of the losses that list `requirement`."""
        return [name for name, term in self._items() if requirement in term.requires]

    def forward(self, translation: Translation) -> dict[str, Tensor]:
        """Weighted scalars by name; `translation` gets its `image_features` where needed."""
        if self._features and translation.image_features is None:
            images = {"fake": translation.fake, "exemplar": translation.batch.exemplar}
            if translation.batch.truth is not None:
                images["truth"] = translation.batch.truth
            translation.image_features = ImageFeatures(self._features[0], images)
        return {name: term.weight * term(translation) for name, term in self._items()}

    def discriminator_losses(
        self, fake: DiscriminatorPass, real: DiscriminatorPass
    ) -> dict[str, Tensor]:
        """Scalars that the discriminator minimises, by name of the adversarial loss.

        Weighted as the generator's side of the same loss is, as released. Adam all but undoes a
        constant factor.
        """
        return {
            name: term.weight * term.discriminator_loss(fake, real)
            for name, term in self._items()
            if isinstance(term, AdversarialTerm)
        }

    def _items(self) -> Iterable[tuple[str, Loss]]:
        return self.terms.items()  # type: ignore[return-value]

    def _build_features(self, vgg: Settings | None, readers: list[str]) -> nn.Module:
        if vgg is None:
            raise ConfigError(
                f"losses {readers} read VGG-19 features, but model.vgg is None; set "
                f"model.vgg=dict(type='VGG19Features', weights=PATH|'torchvision'|'random'), or "
                f"set these losses to None"
            )
        layers = sorted({*self.image_layers, *(vgg.get("layers") or ())})
        network: nn.Module = build_component(MODELS, {**vgg, "layers": layers}, "model.vgg")
        return network.eval().requires_grad_(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GeneratorObjective:
        super()._apply(fn, recurse)
        for network in self._features:
            network._apply(fn)
        return self


def _build(
    name: str, settings: Settings, feature_channels: int | None, descriptor_channels: int | None
) -> Loss:
    kind = settings.get("type") if isinstance(settings, Mapping) else None
    made_by = LOSSES.get(kind) if isinstance(kind, str) else kind
    filled: dict[str, Any] = {}
    if getattr(made_by, "needs_channels", False):
        of_encoder = settings.get("features", "descriptors") == "encoder"
        channels = feature_channels if of_encoder else descriptor_channels
        if channels is not None:
            filled["in_channels"] = channels
    term = build_component(LOSSES, settings, f"model.losses.{name}", **filled)
    if not isinstance(term, Loss):
        raise ConfigError(
            f"model.losses.{name}: {kind} is no mcltoolkit.losses.base.Loss; derive it from that"
        )
    return term
