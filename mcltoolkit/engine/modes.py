"""Two ways to train for finding faults: the same result each time, and torch's anomaly mode."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from mcltoolkit.errors import ConfigError, NonFiniteError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
WORKSPACES = (":4096:8", ":16:8")
_UNDEFINED = re.compile(r"(\S+) does not have a deterministic implementation")
_ANOMALY = re.compile(r"Function '(\w+)' returned nan values")


@contextmanager
def modes(config: Config) -> Iterator[None]:
    """A training inside follows `randomness.deterministic` and `detect_anomaly` of the config.

    Deterministic: torch takes only algorithms that give the same bits each time, cuDNN does not
    choose by measuring, and cuBLAS, which otherwise raises at the first matrix product, gets the
    workspace that it needs for that. mmengine sets the first two and never takes them back.
    Afterwards the process is as before.

    Args:
        config: changed: cuDNN's measuring is switched off where it must be.

    Raises:
        ConfigError: an operation has no deterministic form, or cuBLAS cannot be told any more.
        NonFiniteError: anomaly mode has found an operation whose gradient is NaN.
    """
    deterministic = bool((config.get("randomness") or {}).get("deterministic"))
    anomaly = config.get("detect_anomaly") or False
    if not isinstance(anomaly, bool):
        raise ConfigError(f"detect_anomaly is {anomaly!r}; allowed are True and False")
    if anomaly:
        print_log(
            "anomaly mode: each operation keeps a trace and each gradient is looked at; this is "
            "several times slower, use it to find a fault",
            logger="current",
        )
    try:
        with _deterministic(config, deterministic), torch.autograd.set_detect_anomaly(anomaly):
            yield
    except RuntimeError as error:
        _explain(error, deterministic, anomaly)
        raise


@contextmanager
def _deterministic(config: Config, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        os.environ.get(WORKSPACE),
    )
    if before[-1] not in WORKSPACES:
        if torch.cuda.is_initialized():
            raise ConfigError(
                f"randomness.deterministic: the environment has {WORKSPACE}={before[-1]}, and CUDA "
                f"runs already, so that it cannot be set any more; set it to {WORKSPACES[0]} "
                f"before the program starts"
            )
        os.environ[WORKSPACE] = WORKSPACES[0]
    environment: dict[str, Any] = dict(config.get("env_cfg") or {})
    config.env_cfg = {**environment, "cudnn_benchmark": False}
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[2:4]
        if before[-1] is None:
            os.environ.pop(WORKSPACE, None)
        else:
            os.environ[WORKSPACE] = before[-1]


def _explain(error: RuntimeError, deterministic: bool, anomaly: bool) -> None:
    """Raise in the user's words what the modes make torch refuse."""
    undefined = _UNDEFINED.search(str(error))
    if deterministic and undefined:
        raise ConfigError(
            f"the operation {undefined[1]} has no deterministic form on this device, but "
            f"randomness.deterministic (--deterministic) asks for it; train without it, or "
            f"exchange the part of the model that computes it (the trace of this error, with "
            f"--detect-anomaly of the forward pass, names the line), or train on another device"
        ) from error
    found = _ANOMALY.search(str(error))
    if anomaly and found:
        raise NonFiniteError(
            f"anomaly mode: the backward pass of {found[1]} gives NaN; the trace printed above "
            f"leads to the line of the forward pass. Keep its argument away from where the "
            f"derivative is infinite (such as the square root of 0), or without --detect-anomaly "
            f"let NonFiniteHook dump the step"
        ) from error
