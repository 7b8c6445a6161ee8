"""Features of images from any timm or torchvision classifier, without its last layer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor, nn

from mcltoolkit.errors import ConfigError, WeightsError, near_matches
from mcltoolkit.files import sha256_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224
COUNTER = "num_batches_tracked"  # batch norm's; old files lack it and nothing here reads it
CHOICE = (
    "give --weights FILE (a .pth or .safetensors state dict of this very model), 'pretrained' "
    "(downloaded by the library) or 'random' (for trials only)"
)


class Backbone:
    """Image (H, W, 3) uint8 -> feature vector (D,).

    The whole image is resized to the network's input, its aspect squeezed: a centre crop would not
    see the sides of a scene.

    Args:
        spec: `timm:NAME` or `torchvision:NAME`. timm networks give their pooled features
            (`num_classes=0`); torchvision networks with `features` and `classifier` (VGG, AlexNet,
            DenseNet, ...) the mean of the last feature map, others the input of their last layer.
        weights: a state dict (`.safetensors`, or a torch file, read with weights_only=True),
            `pretrained` or `random`.
        side: input height and width in pixels; None takes the network's own.
        device: where it runs.
        seed: of random weights.

    Raises:
        ConfigError: an unknown network or device, or an input size that it does not take.
        WeightsError: no weights named, or a file that is missing, broken or does not fit.
    """

    def __init__(
        self,
        spec: str,
        weights: str | None,
        side: int | None = None,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        library, _, name = spec.partition(":")
        if library not in ("timm", "torchvision") or not name:
            raise ConfigError(
                f"--features is {spec!r}; allowed are 'layout', 'timm:NAME' and "
                f"'torchvision:NAME', such as timm:resnet50"
            )
        if not weights:
            raise WeightsError(f"--features {spec} has no weights; {CHOICE}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            build = _timm if library == "timm" else _torchvision
            self.network, optional, cfg = build(name, weights == "pretrained")
        if weights not in ("pretrained", "random"):
            _load(self.network, Path(weights).expanduser(), optional, spec)
        elif weights == "random":
            print_log(
                f"{spec} has random weights: for trials only, its neighbours mean little",
                logger="current",
                level=logging.WARNING,
            )
        self.network.eval().requires_grad_(False)
        try:
            self.network.to(device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"--device {device} cannot be used ({error}); allowed are cpu and, where there is "
                f"one, cuda"
            ) from error
        self.device = device
        self.side = side or cfg["input_size"][-1]
        self._filter = Image.Resampling[cfg["interpolation"].upper()]
        self._mean, self._std = np.float32(cfg["mean"]), np.float32(cfg["std"])
        self.facts = {
            "features": spec,
            "weights": weights if weights in ("pretrained", "random") else Path(weights).name,
            "weights sha256": _digest(self.network, weights),
            "input": f"{self.side}x{self.side}",
        }
        self._try_out(spec)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> the network's input (3, side, side) float32."""
        resized = Image.fromarray(image).resize((self.side, self.side), self._filter)
        scaled = np.asarray(resized, dtype=np.float32) / 255
        return ((scaled - self._mean) / self._std).transpose(2, 0, 1)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(B, 3, side, side) from `prepare` -> (B, D) float32."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(inputs).to(self.device)).float().cpu().numpy()

    def _try_out(self, spec: str) -> None:
        try:
            shape = self(np.zeros((1, 3, self.side, self.side), dtype=np.float32)).shape
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ConfigError(
                f"{spec} does not take {self.side}x{self.side} images ({error}); change "
                f"--input-size"
            ) from error
        if len(shape) != 2:
            raise ConfigError(
                f"{spec} gives features of shape {shape[1:]}, needed is one vector an image; "
                f"choose another network"
            )


class _Pooled(nn.Module):
    """The mean of a feature map."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, image: Tensor) -> Tensor:
        return self.features(image).mean(dim=(2, 3))


def _timm(name: str, pretrained: bool) -> tuple[nn.Module, tuple[str, ...], dict[str, Any]]:
    if not timm.is_model(name):  # also keeps names of online hubs from being looked up
        raise ConfigError(
            f"timm has no model {name!r}{near_matches(name, timm.list_models())}; see "
            f"timm.list_models()"
        )
    network = _built(timm.create_model, name, pretrained=pretrained, num_classes=0)
    cfg = timm.data.resolve_model_data_config(network)
    classifier = network.pretrained_cfg.get("classifier") or ()
    optional = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return network, optional, cfg


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, tuple[str, ...], dict[str, Any]]:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise ConfigError(
            f"torchvision has no classifier {name!r}{near_matches(name, known)}; allowed are "
            f"{', '.join(known)}"
        )
    network = _built(torchvision.models.get_model, name, weights="DEFAULT" if pretrained else None)
    cfg = dict(input_size=(3, SIDE, SIDE), interpolation="bilinear", mean=MEAN, std=STD)
    if hasattr(network, "features") and hasattr(network, "classifier"):
        return _Pooled(network.features), ("classifier",), cfg
    linear = [n for n, module in network.named_modules() if isinstance(module, nn.Linear)]
    parent, _, last = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())
    return network, (linear[-1],), cfg


def _built(create: Any, name: str, **arguments: Any) -> Any:
    try:
        return create(name, **arguments)
    except Exception as error:  # no network, no room, no such weights: the libraries differ
        raise WeightsError(
            f"{name} cannot be built ({type(error).__name__}: {error}); {CHOICE}"
        ) from error


def _load(network: nn.Module, path: Path, optional: Iterable[str], spec: str) -> None:
    if not path.is_file():
        raise WeightsError(f"--weights {path} is no file; {CHOICE}")
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # torch and safetensors raise half a dozen kinds for a broken file
        raise WeightsError(
            f"--weights {path} ({path.stat().st_size} bytes) cannot be read as a state dict "
            f"({type(error).__name__}: {str(error).splitlines()[0][:120]}); fetch it again, or "
            f"{CHOICE}"
        ) from error
    prefixes = tuple(f"{name}." for name in optional)
    given = {key: v for key, v in state.items() if not key.startswith(prefixes)}
    ours = network.state_dict()
    problems = [
        *(f"{key} is missing" for key in ours if key not in given and not key.endswith(COUNTER)),
        *(f"{key} is unknown" for key in given if key not in ours),
        *(
            f"{key} has shape {tuple(given[key].shape)} in place of {tuple(ours[key].shape)}"
            for key in ours
            if key in given and given[key].shape != ours[key].shape
        ),
    ]
    if problems:
        shown = "; ".join(problems[:4]) + (" ..." if len(problems) > 4 else "")
        raise WeightsError(
            f"--weights {path} does not fit {spec}: {len(problems)} of {len(ours)} keys ({shown}); "
            f"{CHOICE}"
        )
    network.load_state_dict(given, strict=False)


def _digest(network: nn.Module, weights: str) -> str:
    """Of the file, as `sha256sum` prints it, or of the values where there is no file."""
    if weights not in ("pretrained", "random"):
        return sha256_of(Path(weights).expanduser())
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
