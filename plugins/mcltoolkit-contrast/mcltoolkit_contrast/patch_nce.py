"""PatchNCE (CUT: Park et al., ECCV 2020) for exemplar-guided translation.

CUT contrasts the output with the input image, layer by layer of a network that reads both: a patch
of the output is the anchor, the input's patch at the same position is its positive, and other
positions are its negatives. An exemplar-guided translator's input is a condition, no image, so two
forms take its place:

- `features="vgg"`: layers of VGG-19 on the output (anchors) and on the truth (keys). It trains the
  whole translator through the output image, in place of a perceptual loss, as MoNCE does in its
  paired form.
- `features="descriptors"` or `"encoder"`: the condition's features (anchors) and the truth's
  (keys), which is what the marginal contrastive loss compares. It trains the encoders directly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mcltoolkit import LOSSES
from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import without_autocast
from mcltoolkit.losses import Loss
from mcltoolkit.losses.marginal import ProjectionHead
from mcltoolkit.losses.paired import paired_mean
from mcltoolkit.losses.positions import draw_positions
from mcltoolkit.losses.vgg import LAYERS as VGG_LAYERS
from mcltoolkit.losses.vgg import WIDTHS
from mcltoolkit.structures import Translation
from mcltoolkit_contrast.info_nce import info_nce, unit_rows

FEATURES = ("vgg", "descriptors", "encoder")
NEGATIVES = ("image", "batch")
SIDES = ("condition", "truth")
# The paired form that MoNCE releases; deep layers, which tell content more than colour, weigh most.
LAYERS: Mapping[str, float] = {
    "relu1_1": 1 / 32,
    "relu2_1": 1 / 16,
    "relu3_1": 1 / 8,
    "relu4_1": 1 / 4,
    "relu5_1": 1.0,
}


@LOSSES.register_module()
class PatchNCELoss(Loss):
    """InfoNCE between patches at the same position, summed over layers.

    A subclass overrides `log_weights` to weigh the negatives.

    Args:
        weight: 1 in CUT; to be tuned.
        features: `vgg` (output against truth), `descriptors` or `encoder` (condition against
            truth); see the module's docstring.
        layers: VGG-19 layer -> its weight in the sum, for `vgg`.
        temperature: t, > 0.
        positions: patches drawn a layer and image; None, or a number above the map's, takes all.
        shared_positions: draw once for the whole batch, else for each image.
        head: `mlp`, a two-layer head for each layer, or None: the features themselves.
        hidden: units of each layer of the head.
        detach_keys: no gradient through the keys, as in CUT. False trains both encoders with
            `descriptors` and `encoder`; the truth's VGG-19 features never carry gradient.
        negatives: other positions of the same `image`, or of the whole `batch` on this device.
        paired_only: only samples whose truth is the right answer for their exemplar count. With
            `vgg` and shallow layers the truth's colours are asked for: leave out samples whose
            exemplar has others, or give deep layers only.
        width_divisor: model.vgg.width_divisor, which heads on VGG-19 layers must know.
        in_channels: channels of the encoders' features; the objective fills it in.

    Raises:
        ConfigError: a setting outside its range, or that does not fit the features.
    """

    needs_channels = True

    def __init__(
        self,
        weight: float = 1.0,
        features: str = "vgg",
        layers: Mapping[str, float] = LAYERS,
        temperature: float = 0.07,
        positions: int | None = 256,
        shared_positions: bool = True,
        head: str | None = "mlp",
        hidden: int = 256,
        detach_keys: bool = True,
        negatives: str = "image",
        paired_only: bool = False,
        width_divisor: int = 1,
        in_channels: int | None = None,
    ) -> None:
        super().__init__(weight)
        for name, value, allowed in (
            ("features", features, FEATURES),
            ("head", head, ("mlp", None)),
            ("negatives", negatives, NEGATIVES),
        ):
            self._check(name, value, value in allowed, ", ".join(map(repr, allowed)))
        self._check("temperature", temperature, temperature > 0, "values > 0")
        fits = positions is None or positions > 0
        self._check("positions", positions, fits, "None or an int > 0")
        self._check("hidden", hidden, hidden > 0, "an int > 0")
        fits = width_divisor > 0 and WIDTHS[0] % width_divisor == 0
        self._check("width_divisor", width_divisor, fits, f"divisors of {WIDTHS[0]}")
        fits = bool(layers) and set(layers) <= set(VGG_LAYERS) and min(layers.values()) > 0
        self._check("layers", dict(layers), fits, "{name 'relu1_1' ... 'relu5_4': weight > 0}")
        self.features = features
        self.layers = dict(layers) if features == "vgg" else {features: 1.0}
        self.temperature = temperature
        self.positions = positions
        self.shared_positions = shared_positions
        self.detach_keys = detach_keys
        self.negatives = negatives
        self.paired_only = paired_only
        self.requires = frozenset(
            {"truth", "image_features" if features == "vgg" else "truth_features"}
        )
        self.heads = nn.ModuleDict()
        if head == "mlp":
            for name in self.layers:
                channels = in_channels
                if features == "vgg":
                    channels = WIDTHS[int(name[4]) - 1] // width_divisor
                if channels is None:
                    raise ConfigError(
                        f"{type(self).__name__} has head='mlp' and features={features!r} but no "
                        f"in_channels; give the channels of the features, or head=None"
                    )
                self.heads[name] = ProjectionHead(channels, hidden)

    @property
    def image_layers(self) -> frozenset[str]:
        """VGG-19 layers that the loss reads."""
        return frozenset(self.layers) if self.features == "vgg" else frozenset()

    def log_weights(self, cosine: Tensor) -> Tensor | None:
        """Logarithms (B, N, N) of the negatives' weights for their cosines; None: all 1."""
        return None

    def contrast(self, anchor: Tensor, key: Tensor) -> Tensor:
        """InfoNCE of each anchor, (B, P), for rows (B, P, D) of any length."""
        batch, count, _ = anchor.shape
        if self.negatives == "batch":
            anchor, key = (rows.flatten(0, 1).unsqueeze(0) for rows in (anchor, key))
        cosine = unit_rows(anchor) @ unit_rows(key).transpose(1, 2)
        values = info_nce(cosine, self.temperature, self.log_weights(cosine))
        return values.view(batch, count)

    def forward(self, translation: Translation) -> Tensor:
        """Scalar: weighted sum over layers, mean over the drawn positions and the batch.

        Raises:
            ConfigError: VGG-19 layers of another width than the heads'.
        """
        terms = []
        with without_autocast(translation.fake):
            for name, output, truth in self._maps(translation):
                anchor, key = (
                    self._project(name, rows)
                    for rows in draw_positions(output, truth, self.positions, self.shared_positions)
                )
                values = self.contrast(anchor, key.detach() if self.detach_keys else key).mean(
                    dim=1
                )
                mean = values.mean()
                if self.paired_only:
                    mean = paired_mean(values, translation.batch.paired)
                terms.append(self.layers[name] * mean)
            return torch.stack(terms).sum()

    def _maps(self, translation: Translation) -> Iterator[tuple[str, Tensor, Tensor]]:
        if self.features == "vgg":
            shared = translation.need("image_features")
            fake, truth = shared.of("fake"), shared.of("truth")
            for name in self.layers:
                yield name, fake[name], truth[name].detach()
        else:
            kind = "features" if self.features == "encoder" else self.features
            yield self.features, *(translation.need(f"{side}_{kind}") for side in SIDES)

    def _project(self, name: str, rows: Tensor) -> Tensor:
        if name not in self.heads:
            return rows
        head = self.heads[name]
        found, expected = rows.shape[2], head.layers[0].in_features  # type: ignore[union-attr,index]
        if found != expected:
            raise ConfigError(
                f"{type(self).__name__}: the map {name!r} has {found} channels, its head was built "
                f"for {expected}; set the loss's width_divisor to that of model.vgg (or its "
                f"in_channels to the encoders' channels)"
            )
        projected: Tensor = head(unit_rows(rows))
        return projected

    def _check(self, name: str, value: object, fits: bool, allowed: str) -> None:
        if not fits:
            raise ConfigError(f"{type(self).__name__}.{name} is {value!r}; allowed: {allowed}")
