"""LPIPS (Zhang et al., CVPR 2018), by the `lpips` package, whose wheel has the linear weights.

The backbone's weights are torchvision's and not in the wheel.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, DataError, near_matches
from mcltoolkit.metrics.sample_metric import SampleMetric
from mcltoolkit.metrics.shared import full_float32, shared, stacked
from mcltoolkit.pretrained import download, fill, fill_random, fingerprint, named, read_state
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

BACKBONES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
SMALLEST = {"alex": 32, "vgg": 16, "squeeze": 32}
CHOICE = (
    "set the metric's weights, or pass --lpips-weights PATH|torchvision|random (PATH: "
    "torchvision's file of the backbone that net names; torchvision: downloaded by torchvision; "
    "random: for trials only)"
)


class LPIPSNetwork(nn.Module):
    """Two images (B, 3, H, W) in [-1, 1] -> distance (B,), always in float32.

    Args:
        weights: of the backbone: path, `torchvision` or `random` (seeded; for trials).
        net: `alex`, `vgg` or `squeeze`.
        seed: of random weights.

    Raises:
        ConfigError: lpips is not installed, or an unknown net.
        WeightsError: no weights are named, or they are missing, broken or do not fit.
    """

    def __init__(self, weights: str | Path | None, net: str = "alex", seed: int = 0) -> None:
        super().__init__()
        if net not in BACKBONES:
            raise ConfigError(
                f"LPIPS.net is {net!r}; allowed are {', '.join(BACKBONES)}"
                f"{near_matches(str(net), BACKBONES)}"
            )
        name = named(weights, f"LPIPS ({BACKBONES[net]})", CHOICE)
        self.net, address = net, ""
        self.network = _empty(net)
        backbone: Any = self.network.net
        if name == "random":
            fill_random(backbone, seed, BACKBONES[net])
        else:
            if name == "torchvision":
                from torchvision.models import get_model_weights

                entry: Any = get_model_weights(BACKBONES[net])["DEFAULT"]  # type: ignore[misc]
                address, source = entry.url, f"torchvision's {BACKBONES[net]}"
                load = lambda: entry.get_state_dict(progress=True, check_hash=True)  # noqa: E731
                state = download(load, source, CHOICE)
            else:
                state, source = read_state(name, BACKBONES[net], CHOICE), f"file {name}"
            fill(backbone, _sliced(backbone, state), source, CHOICE)
        self.fingerprint = fingerprint(name, seed, address)
        self.eval().requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance of each pair.

        Raises:
            DataError: the images differ in size, or are too small.
        """
        if first.shape != second.shape or min(first.shape[2:]) < SMALLEST[self.net]:
            raise DataError(
                f"LPIPS of images of {tuple(first.shape[2:])} and {tuple(second.shape[2:])}: both "
                f"must be of one size, with sides of at least {SMALLEST[self.net]} for "
                f"net={self.net!r}"
            )
        with torch.autocast(first.device.type, enabled=False), full_float32():
            return self.network(first.float(), second.float()).flatten()


def lpips_network(weights: str | Path | None, net: str = "alex", seed: int = 0) -> LPIPSNetwork:
    """The network, shared by the metrics of the same weights."""
    return shared(("lpips", str(weights), net, seed), lambda: LPIPSNetwork(weights, net, seed))


def _empty(net: str) -> nn.Module:
    """The package's network with its linear weights, and a backbone to be filled."""
    try:
        import lpips
    except ImportError as error:
        raise ConfigError(
            f"LPIPS needs the package lpips, which cannot be imported ({error}); run `pip install "
            f"mcltoolkit[metrics]`, or leave LPIPS out"
        ) from error
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torchvision: `pretrained` is its older way to say it
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


def _sliced(backbone: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's `features.N.KIND` under the package's names `sliceK.N.KIND`; those that are
    missing stay so, and the classifier is left out."""
    names = {"features." + ours.split(".", 1)[1]: ours for ours in backbone.state_dict()}
    return {names[key]: value for key, value in state.items() if key in names}


class LPIPSMetric(SampleMetric):
    """Base of metrics of LPIPS.

    Args:
        weights: of the backbone, see `LPIPSNetwork`; required.
        net: `alex` (the package's default), `vgg` or `squeeze`.
        weights_seed: of random weights.
        options: those of mmengine's `BaseMetric`.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        net: str = "alex",
        weights_seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.network = lpips_network(weights, net, weights_seed)

    def passport(self, key: str = "") -> dict[str, Any]:
        """See `MeasuredMetric`."""
        return {
            **super().passport(key),
            "layers": f"{BACKBONES[self.network.net]}, linear weights of lpips 0.1",
            "weights_sha256": self.network.fingerprint,
            "value_range": "[-1, 1]",
            "resize": "none",
            "library": f"lpips {version('lpips')}",
        }


@METRICS.register_module()
class LPIPS(LPIPSMetric):
    """Perceptual distance to the truth, over paired samples only: elsewhere there is no one right
    answer. Key: `lpips`; 0 is perfect.

    Args:
        weights: of the backbone: path, `torchvision` or `random`; required.
        options: `net`, `weights_seed`, and those of mmengine's `BaseMetric`.

    Raises:
        ConfigError: lpips is not installed, or an unknown net.
        WeightsError: no weights, or they cannot be used.
    """

    protocols = {"lpips": "lpips-0.1-1"}

    def measure(self, samples: Sequence[Prediction]) -> list[dict[str, float]]:
        """Values of each sample of a batch."""
        paired = [sample for sample in samples if sample.paired and sample.truth is not None]
        values = iter(self._distances(paired) if paired else [])
        return [
            {"lpips": next(values)} if sample.paired and sample.truth is not None else {}
            for sample in samples
        ]

    def _distances(self, samples: list[Prediction]) -> list[float]:
        fake, truth = (stacked(samples, role) for role in ("fake", "truth"))
        with torch.no_grad():
            return self.network.to(fake.device)(fake, truth).tolist()
