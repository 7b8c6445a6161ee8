"""Parameter-free normalisations by name.

Positional norm: Li et al., NeurIPS 2019 (moments over channels at each position). Instance norm:
Ulyanov et al., 2016. Batch norm: Ioffe and Szegedy, ICML 2015.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mcltoolkit import ops
from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.layers.sync_bn import SyncBatchNorm
from mcltoolkit.precision import at_least_float32

NORM_KINDS = ("pono", "syncbn", "bn", "instance", "none")


class PositionalNorm(nn.Module):
    """Each position's channels to mean 0 and variance 1: (x - mean) / sqrt(var + eps), with the
    unbiased variance."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape and dtype; C >= 2."""
        full = at_least_float32(x)
        var, mean = torch.var_mean(full, dim=1, keepdim=True, correction=1)
        return ((full - mean) * torch.rsqrt(var + self.eps)).to(x.dtype)


class InstanceNorm(nn.Module):
    """Each channel of each sample to mean 0 and variance 1 over positions (biased variance).

    Unlike `nn.InstanceNorm2d` it takes a map of one position, which becomes 0.
    """

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor, slope: float | None = None) -> Tensor:
        """(B, C, H, W) -> the same shape and dtype, after a LeakyReLU of that slope if given."""
        if x.shape[-2:].numel() == 1:
            return x - x
        return ops.instance_norm(x, self.eps, slope)


def build_norm(kind: str, channels: int) -> nn.Module:
    """A normalisation without learned scale and shift, for maps (B, `channels`, H, W).

    Args:
        kind: 'pono' (over channels at each position), 'instance' (over positions), 'bn' (over
            batch and positions), 'syncbn' (the same over the batch of all ranks), 'none'.
            'bn' and 'syncbn' track running statistics under identical names.
        channels: C.

    Raises:
        ConfigError: an unknown kind, or positional norm of a single channel.
    """
    if kind == "pono":
        if channels < 2:
            raise ConfigError(
                f"norm 'pono' of {channels} channel: it normalises over channels and needs "
                f"at least 2; widen the layer or use norm='instance'"
            )
        return PositionalNorm()
    if kind == "instance":
        return InstanceNorm()
    if kind == "bn":
        return nn.BatchNorm2d(channels, affine=False)
    if kind == "syncbn":
        return _sync_batch_norm(channels)
    if kind == "none":
        return nn.Identity()
    raise ConfigError(
        f"unknown norm {kind!r}{near_matches(kind, NORM_KINDS)}; allowed are "
        f"{', '.join(NORM_KINDS)}"
    )


def _sync_batch_norm(channels: int) -> nn.Module:
    # torch's has fused CUDA kernels but refuses CPU tensors in a process group
    on_cpu = not torch.cuda.is_available() or (
        dist.is_available() and dist.is_initialized() and dist.get_backend() == "gloo"
    )
    if on_cpu:
        return SyncBatchNorm(channels, affine=False)
    return nn.SyncBatchNorm(channels, affine=False)
