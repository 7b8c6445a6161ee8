"""The process's random generators, set for the reading of one sample.

The toolkit's own data sets keep no random state. Others draw from `random`, `numpy.random` or
`torch`; with these set by seed and draw, their samples too depend on nothing that a resumed
training would lack.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded_state(*entropy: int, restore: bool = True) -> Iterator[None]:
    """Python's, numpy's and torch's (CPU) global generators, seeded inside the block.

    Args:
        entropy: whole numbers >= 0 that the seeds are made from.
        restore: put the generators back as they were before; a loader worker, which does nothing
            else, saves the time.
    """
    generator = torch.default_generator
    before = None
    if restore:
        before = random.getstate(), np.random.get_state(), generator.get_state()
    words = np.random.SeedSequence(entropy).generate_state(3, np.uint64)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]) % 2**32)
    generator.manual_seed(int(words[2] >> np.uint64(1)))
    try:
        yield
    finally:
        if before is not None:
            random.setstate(before[0])
            np.random.set_state(before[1])
            generator.set_state(before[2])
