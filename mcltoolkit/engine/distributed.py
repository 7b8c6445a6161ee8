"""Starting process groups on any device, and the wrapper for models with several optimisers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import MMSeparateDistributedDataParallel
from torch import nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class SeparateDDP(MMSeparateDistributedDataParallel):
    """Wraps each direct child that trains in a DistributedDataParallel of its own.

    mmengine's class, whose `no_sync` fails where a child is not wrapped. Every parameter gets a
    gradient in each step, and frozen networks are outside the children or without gradient, so that
    nothing has to be searched for unused parameters.
    """

    def __init__(self, module: nn.Module, **kwargs: Any) -> None:
        with warnings.catch_warnings():  # mmengine sets it, newer torch prefers another name
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            super().__init__(module, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """No gradient exchange inside."""
        with self.module.no_sync():
            yield


def init_process_group(launcher: str, timeout: float | None = None) -> None:
    """Join the process group with gloo where there is no CUDA.

    mmengine's own initialisation calls torch.cuda; it skips what is initialised already. On CUDA
    it is left to mmengine.

    Args:
        launcher: `none`, `pytorch` (torchrun), `slurm` or `mpi`.
        timeout: seconds after which a rank no longer waits for another, the setting
            `env_cfg.dist_cfg.timeout`; torch's own where None.

    Raises:
        ConfigError: a timeout that is no positive number, or the port is taken.
    """
    if launcher == "none" or dist.is_initialized():
        return
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ConfigError(
            f"env_cfg.dist_cfg.timeout is {timeout!r}; allowed are seconds > 0, or leave it out"
        )
    if launcher == "slurm":
        os.environ.setdefault("MASTER_PORT", str(_slurm_port()))
    if torch.cuda.is_available():
        return
    if launcher == "slurm":
        os.environ.setdefault("RANK", os.environ["SLURM_PROCID"])
        os.environ.setdefault("WORLD_SIZE", os.environ["SLURM_NTASKS"])
        os.environ.setdefault("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
        if "MASTER_ADDR" not in os.environ:
            os.environ["MASTER_ADDR"] = _first_slurm_node()
    elif launcher == "mpi":
        os.environ.setdefault("RANK", os.environ["OMPI_COMM_WORLD_RANK"])
        os.environ.setdefault("WORLD_SIZE", os.environ["OMPI_COMM_WORLD_SIZE"])
        os.environ.setdefault("LOCAL_RANK", os.environ["OMPI_COMM_WORLD_LOCAL_RANK"])
        os.environ.setdefault("MASTER_PORT", "29500")
    limit = None if timeout is None else timedelta(seconds=timeout)
    try:
        dist.init_process_group("gloo", timeout=limit)
    except dist.DistNetworkError as error:
        if "address already in use" not in str(error).lower():
            raise
        raise ConfigError(
            f"port {os.environ.get('MASTER_PORT')} of this machine is taken, by another run "
            f"perhaps; set MASTER_PORT to another number"
        ) from error


def _slurm_port() -> int:
    """A port of the job step's own, so that two on one node do not meet each other."""
    job, step = (os.environ.get(f"SLURM_{name}", "0") for name in ("JOB_ID", "STEP_ID"))
    return 20000 + (7 * int(job) + int(step)) % 10000


def _first_slurm_node() -> str:
    import subprocess

    listed = subprocess.run(
        ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()[0]
