"""VGG-19 features that style and semantic metrics share: one pass an image and role."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcltoolkit.errors import WeightsError
from mcltoolkit.losses.vgg import VGG19Features
from mcltoolkit.metrics.sample_metric import SampleMetric
from mcltoolkit.metrics.shared import SharedNetwork, shared
from mcltoolkit.pretrained import fingerprint

CHOICE = (
    "set the metric's weights, or pass --vgg-weights PATH|torchvision|random (PATH: a file with "
    "torchvision's or the released CoCosNet's VGG-19; torchvision: downloaded by torchvision; "
    "random: for trials only)"
)
ADDRESS = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


class SharedVGG(SharedNetwork):
    """VGG-19 with the layers that its metrics have asked for so far.

    Args:
        options: of `VGG19Features`, but for its layers.
    """

    network: VGG19Features

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        super().__init__(VGG19Features(layers=("relu1_2",), **options))
        weights, seed = str(options["weights"]), options.get("seed", 0)
        self.fingerprint = fingerprint(weights, seed, ADDRESS)
        if options.get("width_divisor", 1) != 1:
            self.fingerprint += f", width / {options['width_divisor']}"

    def ask_for(self, layers: Sequence[str]) -> None:
        """Give these layers, too, from now on."""
        wanted = {*self.network.layers, *layers}
        if wanted != {*self.network.layers}:
            self.forget()
            self.network = VGG19Features(layers=sorted(wanted), **self.options)


class VGGMetric(SampleMetric):
    """Base of metrics of VGG-19 features.

    Args:
        weights: path, `torchvision` or `random`, see `VGG19Features`; required.
        preprocess, width_divisor, weights_seed: see `VGG19Features`.
        options: those of mmengine's `BaseMetric`.

    Raises:
        WeightsError: no weights, or they cannot be used.
    """

    layers: tuple[str, ...] = ()

    def __init__(
        self,
        weights: str | Path | None = None,
        preprocess: str | None = None,
        width_divisor: int = 1,
        weights_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        kind = type(self).__name__
        if weights is None or not str(weights):
            raise WeightsError(f"the metric {kind} needs VGG-19 but no weights are named; {CHOICE}")
        settings = dict(
            weights=str(weights),
            preprocess=preprocess,
            width_divisor=width_divisor,
            seed=weights_seed,
        )
        self.shared = shared(("vgg19", *settings.values()), lambda: SharedVGG(settings))
        self.shared.ask_for(self.layers)

    def release(self) -> None:
        """Free the last batch's features."""
        self.shared.forget()

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        return {
            **super().passport(key),
            "layers": ", ".join(self.layers),
            "weights_sha256": self.shared.fingerprint,
            "value_range": f"preprocessed as {self.shared.network.preprocess}",
            "resize": "none",
        }
