"""What a training ran on, for its log."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

PACKAGES = ("mcltoolkit", "torch", "torchvision", "mmengine", "mmcv-lite", "timm", "albumentations")


def environment() -> dict[str, str]:
    """Versions, devices and threads by name.

    mmengine's own function imports torchvision and runs compilers, which takes seconds.
    """
    found = {"Python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        found["GPUs"] = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
        found["CUDA"] = str(torch.version.cuda)
        found["cuDNN"] = str(torch.backends.cudnn.version())
    else:
        found["GPUs"] = "none"
    found["CPU cores"] = str(os.cpu_count())
    found["threads"] = str(torch.get_num_threads())
    return found
