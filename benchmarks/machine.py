"""The machine: what it is called, and what it achieves.

Times tell little without the rate at which the same machine, with the same threads, multiplies
matrices: `rates` measures it, with nothing of the toolkit in it.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MATRIX = 2048
CHANNELS, SIDE = 512, 64
ROUNDS = 5
PACKAGES = ("mcltoolkit", "torch", "mmengine", "numpy")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def machine(device: str) -> dict[str, Any]:
    """Processor, cores and memory; of a GPU its name and memory too."""
    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(total_memory() / 2**30, 1),
    }
    if device.startswith("cuda"):
        import torch

        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = properties.name
        found["gpu_memory_gb"] = round(properties.total_memory / 2**30, 1)
    return found


def versions(root: Path) -> dict[str, str]:
    """Python, packages, and the commit of the clone (with `+` where files were changed)."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    try:
        told = [
            subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "-uno"])
        ]
        found["commit"] = told[0] + ("+" if told[1] else "")
    except (OSError, subprocess.CalledProcessError):
        found["commit"] = "unknown"
    return found


def rates(device: str, dtype: str) -> dict[str, float]:
    """GFLOP/s of a square matrix product and of a 3x3 convolution, forward: the best of five."""
    import torch
    from torch.nn import functional

    kind = getattr(torch, dtype)
    matrix = torch.randn(MATRIX, MATRIX, device=device, dtype=kind)
    maps = torch.randn(1, CHANNELS, SIDE, SIDE, device=device, dtype=kind)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device, dtype=kind)
    with torch.no_grad():
        product = _best(lambda: torch.mm(matrix, matrix), device)
        convolution = _best(lambda: functional.conv2d(maps, weight, padding=1), device)
    return {
        "matrix_product": 2 * MATRIX**3 / product / 1e9,
        "convolution": 2 * 9 * CHANNELS**2 * SIDE**2 / convolution / 1e9,
    }


def _best(work: Callable[[], object], device: str) -> float:
    seconds = []
    for _ in range(ROUNDS + 1):  # the first warms up
        settle(device)
        start = time.perf_counter()
        work()
        settle(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def settle(device: str) -> None:
    """Wait until an accelerator has done what it was asked for."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


@contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], float]]:
    """Yields a function that tells by how many MB the peak since then exceeds what was held.

    On Linux the kernel's own high-water mark is set back first, so that what the process held
    before hides nothing; elsewhere it is the growth of `ru_maxrss`. On CUDA torch's allocator
    tells.
    """
    if device.startswith("cuda"):
        import torch

        settle(device)
        torch.cuda.reset_peak_memory_stats(device)
        base = float(torch.cuda.memory_allocated(device))

        def peak() -> float:
            settle(device)
            return float(torch.cuda.max_memory_allocated(device))

    else:
        peak = _resident_peak
        base = _set_back()
    yield lambda: (peak() - base) / 2**20


def _set_back() -> float:
    """Set the high-water mark to what is resident now; bytes from which to count."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return _resident_peak()
    return _told("VmHWM")


def _resident_peak() -> float:
    if _STATUS.exists():
        return _told("VmHWM")
    scale = 1 if platform.system() == "Darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


def _told(field: str, text: str | None = None) -> float:
    text = _STATUS.read_text() if text is None else text
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return float(found[1]) * 1024 if found else 0.0


def total_memory() -> float:
    """Bytes of main memory."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def available_memory() -> float:
    """Bytes that can be had without swapping, as far as the system tells."""
    place = Path("/proc/meminfo")
    return _told("MemAvailable", place.read_text()) if place.exists() else total_memory()


def limit_memory() -> None:
    """Have an allocation beyond what is free fail here, rather than the system end a process."""
    if not _STATUS.exists():
        return
    room = int(_told("VmSize") + 0.95 * available_memory())
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or room < hard:
        resource.setrlimit(resource.RLIMIT_AS, (room, hard))


def _processor() -> str:
    place = Path("/proc/cpuinfo")
    if place.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", place.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()
