"""Starting process groups on any device, and the wrapper for models with several optimisers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.distributed as dist
from mmengine.model import MMSeparateDistributedDataParallel

from mcltoolkit.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class SeparateDDP(MMSeparateDistributedDataParallel):
    """Wraps each direct child that trains in a DistributedDataParallel of its own.

    mmengine's class, with a `no_sync` that covers all children.
    """

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """No gradient exchange inside."""
        with ExitStack() as stack:
            for child in self.module._modules.values():
                if hasattr(child, "no_sync"):
                    stack.enter_context(child.no_sync())
            yield


def init_process_group(launcher: str) -> None:
    """Join the process group with gloo where there is no CUDA.

    mmengine's own initialisation calls torch.cuda; it skips what is initialised already. On CUDA
    it is left to mmengine.

    Args:
        launcher: `none`, `pytorch` (torchrun), `slurm` or `mpi`.
    """
    if launcher == "none" or torch.cuda.is_available() or dist.is_initialized():
        return
    if launcher == "slurm":
        os.environ.setdefault("RANK", os.environ["SLURM_PROCID"])
        os.environ.setdefault("WORLD_SIZE", os.environ["SLURM_NTASKS"])
        os.environ.setdefault("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
        os.environ.setdefault("MASTER_PORT", "29500")
        if "MASTER_ADDR" not in os.environ:
            os.environ["MASTER_ADDR"] = _first_slurm_node()
    elif launcher == "mpi":
        os.environ.setdefault("RANK", os.environ["OMPI_COMM_WORLD_RANK"])
        os.environ.setdefault("WORLD_SIZE", os.environ["OMPI_COMM_WORLD_SIZE"])
        os.environ.setdefault("LOCAL_RANK", os.environ["OMPI_COMM_WORLD_LOCAL_RANK"])
        os.environ.setdefault("MASTER_PORT", "29500")
    dist.init_process_group("gloo")


def _first_slurm_node() -> str:
    import subprocess

    listed = subprocess.run(
        ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()[0]
