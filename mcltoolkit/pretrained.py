"""Pretrained weights of fixed networks: named, read without running code, fingerprinted.

What needs them never goes on without them, and never with others than the named ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mcltoolkit.errors import WeightsError
from mcltoolkit.files import sha256_of

DOWNLOADS = ("torchvision", "torch-fidelity")
"""Settings that name a library's download; a file of that name is not looked at."""


def named(weights: str | Path | None, network: str, choice: str) -> str:
    """The setting as text.

    Args:
        weights: the setting.
        network: what needs them, for messages.
        choice: what may be set, and where.

    Raises:
        WeightsError: none are named.
    """
    if weights is None or not str(weights):
        raise WeightsError(f"{network} needs weights but none are named; {choice}")
    return str(weights)


def read_state(path: str | Path, network: str, choice: str) -> dict[str, Tensor]:
    """A state dict from a file of plain tensors.

    Raises:
        WeightsError: the file is missing, broken or holds something else.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"the {network} weights {path} cannot be read: it {what}; {choice}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises half a dozen kinds for a broken file
        raise WeightsError(
            f"the {network} weights {path} ({path.stat().st_size} bytes) cannot be read: "
            f"{type(error).__name__}, the file is truncated or is no plain state dict; fetch it "
            f"again, or {choice}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        found = some(state) if isinstance(state, dict) else type(state).__name__
        raise WeightsError(
            f"the {network} weights {path} hold {found}; expected a state dict of tensors by name; "
            f"{choice}"
        )
    return state


def download(fetch: Callable[[], dict[str, Tensor]], source: str, choice: str) -> dict[str, Tensor]:
    """What a library's own download gives.

    Raises:
        WeightsError: it fails, whatever the reason: no network, no room, a wrong hash.
    """
    try:
        return dict(fetch())
    except Exception as error:
        raise WeightsError(
            f"{source} cannot be loaded ({type(error).__name__}: {error}); allow the download, or "
            f"{choice}"
        ) from error


def fill(network: nn.Module, state: dict[str, Tensor], source: str, choice: str) -> None:
    """Load a state dict, all of it.

    Raises:
        WeightsError: keys or shapes differ.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise WeightsError(
            f"{source} does not fit: {' '.join(lines)[:400]}; use a file with the named keys, or "
            f"{choice}"
        ) from error


def fill_random(network: nn.Module, seed: int, name: str) -> None:
    """Weights that keep the scale of what passes (He et al., ICCV 2015), from a generator of their
    own; biases and normalisations as at the start of a training. Says so in the log."""
    print_log(
        f"{name} has random weights: for trials only, its metrics mean little",
        logger="current",
        level=logging.WARNING,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                scale = (2 / module.weight[0].numel()) ** 0.5
                values = torch.randn(module.weight.shape, generator=generator)
                module.weight.copy_(values * scale)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.reset_parameters()


def fingerprint(weights: str, seed: int = 0, address: str = "") -> str:
    """What a passport tells of weights: the SHA-256 of their file, or that they are random.

    Args:
        weights: `random`, one of `DOWNLOADS`, or the path of a file.
        seed: of random weights.
        address: of a library's download, which lies in torch's cache.
    """
    if weights == "random":
        return f"random, seed {seed}"
    path = Path(weights).expanduser()
    if address and weights in DOWNLOADS:
        path = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(address).path).name)
    return sha256_of(path)


def some(names: Iterable[object]) -> str:
    """The first of many names, and how many there are."""
    listed = sorted(map(str, names))
    return ", ".join(listed[:3]) + (f", ... ({len(listed)})" if len(listed) > 3 else "")
