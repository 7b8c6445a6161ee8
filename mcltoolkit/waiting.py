"""How torch's threads wait for each other. To be said before torch is imported.

Threads that spin while they wait, torch's own way, cost a factor of 5 to 8 where two busy processes
meet; threads that sleep at once take a fifth to a third longer alone, as waking one takes tens of
microseconds. Between the two lies a short spin (2 cores, the scenes model: 0.57 in place of 0.75 s
a step alone, 1.35 in place of 1.2 s beside another).
"""

from __future__ import annotations

import os

# libgomp takes the number; other OpenMP libraries read the policy alone
SPINS = "1000"


def wait_quietly() -> None:
    """Have threads spin shortly, then sleep, here and in processes started from here; what the
    environment says already stays."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
