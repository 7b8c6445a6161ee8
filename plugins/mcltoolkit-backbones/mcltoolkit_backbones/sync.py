"""Batch norms of a timm network that take their statistics over all ranks.

`torch.nn.SyncBatchNorm` refuses CPU tensors, and its own conversion drops the activation that timm
fuses into some of its batch norms. timm's conversion keeps it, for CUDA; for CPU ranks the
toolkit's batch norm is put in place, with the activation.
"""

from __future__ import annotations

import torch
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn

from mcltoolkit.layers import SyncBatchNorm, build_norm


class _SyncBatchNormAct(SyncBatchNorm):
    """With timm's activation after it; state names are those of `BatchNormAct2d`."""

    drop: nn.Module
    act: nn.Module

    def forward(self, input: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(input)))


def synchronise(network: nn.Module) -> nn.Module:
    """`network` with every batch norm replaced by one that keeps its weights and statistics."""
    if isinstance(build_norm("syncbn", 1), nn.SyncBatchNorm):  # what this device and backend take
        return convert_sync_batchnorm(network)
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(network, name, _replaced(child))
        else:
            synchronise(child)
    return network


def _replaced(norm: nn.BatchNorm2d) -> nn.Module:
    kind = _SyncBatchNormAct if isinstance(norm, BatchNormAct2d) else SyncBatchNorm
    with torch.device("meta"):  # the tensors come from `norm`
        new = kind(norm.num_features, norm.eps, affine=norm.affine)
    new.momentum = norm.momentum
    new._parameters.update(norm._parameters)
    new._buffers.update(norm._buffers)
    if isinstance(new, _SyncBatchNormAct) and isinstance(norm, BatchNormAct2d):
        new.drop, new.act = norm.drop, norm.act
    return new.train(norm.training)
