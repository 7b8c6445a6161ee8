"""InceptionV3 features for FID and KID, by torch-fidelity (the TensorFlow network, ported).

torch-fidelity resizes an 8-bit image to 299 x 299 as TensorFlow 1 does (bilinear) and gives the
2048 values of the last pooling.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics.shared import SharedNetwork, shared
from mcltoolkit.pretrained import download, fill, fill_random, fingerprint, named, read_state

WIDTH = 2048
RESIZE = "299x299, bilinear as in TensorFlow 1 (torch-fidelity)"
CHOICE = (
    "set the metric's weights, or pass --inception-weights PATH|torch-fidelity|random (PATH: the "
    "file weights-inception-2015-12-05-6726825d.pth of torch-fidelity; torch-fidelity: downloaded; "
    "random: for trials only)"
)


class InceptionFeatures(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> features (B, 2048) float32, always in float32.

    Args:
        weights: the path of torch-fidelity's file, `torch-fidelity` (downloaded into torch's
            cache) or `random` (seeded; for trials). Read without running code.
        seed: of random weights.

    Raises:
        ConfigError: torch-fidelity is not installed.
        WeightsError: no weights are named, or they are missing, broken or do not fit.
    """

    def __init__(self, weights: str | Path | None, seed: int = 0) -> None:
        super().__init__()
        name = named(weights, "InceptionV3", CHOICE)
        library = torch_fidelity("feature_extractor_inceptionv3")
        address = library.URL_INCEPTION_V3
        self.network = _empty(library)
        if name == "random":
            fill_random(self.network, seed, "InceptionV3")
        elif name == "torch-fidelity":
            load = torch.hub.load_state_dict_from_url
            options: dict[str, Any] = dict(map_location="cpu", check_hash=True, weights_only=True)
            state = download(lambda: load(address, **options), "torch-fidelity's weights", CHOICE)
            fill(self.network, state, address, CHOICE)
        else:
            fill(self.network, read_state(name, "InceptionV3", CHOICE), f"file {name}", CHOICE)
        self.fingerprint = fingerprint(name, seed, address)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Features."""
        with torch.autocast(images.device.type, enabled=False):
            return self.network(to_bytes(images))[0]


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 of the same shape, as a picture file would hold them."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def inception(weights: str | Path | None, seed: int = 0) -> SharedNetwork:
    """The network, shared by the metrics of the same weights."""
    key = ("inception", str(weights), seed)
    return shared(key, lambda: SharedNetwork(InceptionFeatures(weights, seed)))


def torch_fidelity(module: str) -> ModuleType:
    """A module of torch-fidelity.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import importlib

        return importlib.import_module(f"torch_fidelity.{module}")
    except ImportError as error:
        raise ConfigError(
            f"FID and KID need torch-fidelity, which cannot be imported ({error}); run `pip "
            f"install 'mcltoolkit[metrics]'`, or leave them out"
        ) from error


def _empty(library: ModuleType) -> nn.Module:
    """torch-fidelity's network before its weights are known.

    Its constructor reads a file with pickled code allowed, and has no way to leave that out: it
    is given a file that holds nothing, and the weights are filled in afterwards.
    """

    class Empty(library.FeatureExtractorInceptionV3):  # type: ignore[name-defined, misc]
        def load_state_dict(self, state_dict: Any, *args: Any, **options: Any) -> Any:
            return super().load_state_dict(state_dict, *args, **options) if state_dict else None

    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        nothing = Path(folder, "nothing.pth")
        torch.save({}, nothing)
        return Empty("inception-v3-compat", [str(WIDTH)], str(nothing))
