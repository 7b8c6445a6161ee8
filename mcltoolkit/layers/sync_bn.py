"""Batch norm whose statistics span the batch of all ranks, on any device and backend.

`torch.nn.SyncBatchNorm` refuses CPU tensors, and DistributedDataParallel refuses its subclasses on
CPU; this one makes runs on CPU ranks (gloo) equal to one process with the whole batch. The variance
is computed in two passes (mean first), which keeps it exact where the mean is large.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from mcltoolkit.layers.ranks import several_ranks
from mcltoolkit.precision import at_least_float32


class SyncBatchNorm(_BatchNorm):
    """Batch norm over (B, C, ...) of all ranks of the default process group.

    Ranks may hold different numbers of samples. Without a process group, or with one rank, and in
    evaluation it is plain batch norm. State names are those of `nn.BatchNorm2d`.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics.
        affine: learn a scale and a shift per channel.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        super().__init__(num_features, eps, momentum, affine)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape and dtype."""
        if not self.training or not several_ranks():
            return super().forward(input)
        full = at_least_float32(input)
        normal, mean, var, count = _NormaliseOverRanks.apply(full, self.eps)
        self._track(mean, var, count)
        if self.affine:
            shape = (1, -1) + (1,) * (full.dim() - 2)
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected an input (B, C, ...), found {tuple(input.shape)}")

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        unbiased = var * (count / (count - 1).clamp(min=1))
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


class _NormaliseOverRanks(torch.autograd.Function):
    """x -> (x - mean) / sqrt(var + eps), and mean, biased variance, count per channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dims, shape = _layout(x)
        per_channel = x.numel() // x.shape[1]
        sums = torch.cat([x.sum(dims), x.new_full((1,), per_channel)])
        dist.all_reduce(sums)
        count = sums[-1]
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        squares = centred.square().sum(dims)
        dist.all_reduce(squares)
        var = squares / count
        scale = torch.rsqrt(var + eps)
        normal = centred * scale.view(shape)
        ctx.save_for_backward(normal, scale, count)
        ctx.mark_non_differentiable(mean, var, count)
        return normal, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        normal, scale, count = ctx.saved_tensors
        dims, shape = _layout(grad)
        sums = torch.stack([grad.sum(dims), (grad * normal).sum(dims)])
        dist.all_reduce(sums)
        mean_grad, mean_projection = (sums / count).view(2, *shape)
        return (grad - mean_grad - normal * mean_projection) * scale.view(shape), None


def _layout(x: Tensor) -> tuple[list[int], tuple[int, ...]]:
    return [0, *range(2, x.dim())], (1, x.shape[1]) + (1,) * (x.dim() - 2)
