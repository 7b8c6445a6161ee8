"""A network that several metrics look with: one network, and one pass an image and role.

Metrics see a batch one after the other, so what a network makes of the batch at hand is kept until
another batch comes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mcltoolkit.errors import DataError
from mcltoolkit.structures import Prediction

ROLES = {"fake": "output", "truth": "truth", "exemplar": "exemplar"}


class SharedNetwork:
    """A frozen network with what it made of the last batch.

    Args:
        network: images (B, 3, H, W) in [-1, 1] -> features.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._batch: list[weakref.ref[Prediction]] = []
        self._made: dict[str, Any] = {}

    def of(self, samples: Sequence[Prediction], role: str) -> Any:
        """The network's output for the samples' images of a role.

        Args:
            samples: a batch.
            role: `fake`, `truth` or `exemplar`.

        Raises:
            DataError: a sample has no such image, or their sizes differ.
        """
        kept = [reference() for reference in self._batch]
        if len(kept) != len(samples) or any(a is not b for a, b in zip(kept, samples, strict=True)):
            self.forget()
            self._batch = [weakref.ref(sample) for sample in samples]
        if role not in self._made:
            images = stacked(samples, role)
            self.network.to(images.device)
            with torch.no_grad(), full_float32():
                self._made[role] = self.network(images)
        return self._made[role]

    def forget(self) -> None:
        """Free what was kept of the last batch."""
        self._batch, self._made = [], {}


@contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions of float32 in float32: on newer GPUs cuDNN rounds to TF32 otherwise, 10 bits of
    mantissa, and a metric would depend on the device. Other settings of cuDNN stay."""
    cudnn: Any = torch.backends.cudnn
    # torch 2.9 has a setting for convolutions alone; its older one may not be read beside that
    owner, name, full = (
        (cudnn.conv, "fp32_precision", "ieee")
        if hasattr(cudnn, "conv")
        else (cudnn, "allow_tf32", False)
    )
    before = getattr(owner, name)
    setattr(owner, name, full)
    try:
        yield
    finally:
        setattr(owner, name, before)


def stacked(samples: Sequence[Prediction], role: str) -> Tensor:
    """Images of a role as (B, 3, H, W), within [-1, 1].

    Raises:
        DataError: a sample has no such image, their sizes differ, or a value is not finite.
    """
    images = [getattr(sample, role) for sample in samples]
    for sample, image in zip(samples, images, strict=True):
        if image is None:
            raise DataError(
                f"a metric compares with the {ROLES[role]}, but {sample.name!r} has none; use a "
                f"data set that gives it, or remove the metric from the evaluators"
            )
        if image.shape != images[0].shape:
            raise DataError(
                f"the {ROLES[role]} of {sample.name!r} is {tuple(image.shape)} and that of "
                f"{samples[0].name!r} {tuple(images[0].shape)}; images of one batch must be of one "
                f"size: let the data set's geometry end in one, or use batch_size=1"
            )
    together = torch.stack([image.detach().float() for image in images])
    if not together.isfinite().all():
        whole = together.isfinite().flatten(1).all(1)
        name = samples[int(whole.logical_not().nonzero()[0])].name
        raise DataError(
            f"the {ROLES[role]} of {name!r} holds NaN or infinite values, "
            f"which no metric can compare; look for the cause in the training's losses"
        )
    return together.clamp(-1, 1)


Shared = TypeVar("Shared")
_networks: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()


def shared(key: Hashable, build: Callable[[], Shared]) -> Shared:
    """The network of that key, built at the first call and kept as long as a metric holds it."""
    found = _networks.get(key)
    if found is None:
        _networks[key] = found = build()
    return found
