"""Samples for the metrics that look with a network, and two ranks that measure them."""

import numpy as np
import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction


def make(index, size=(32, 40), classes=4, paired=True, name=None):
    """A prediction whose images are functions of its index alone."""
    random = np.random.default_rng([7, index])

    def image():
        coarse = torch.from_numpy(random.uniform(-1, 1, (1, 3, 5, 6))).float()
        smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0]
        return (smooth + 0.1 * torch.from_numpy(random.standard_normal((3, *size)))).float()

    labels = torch.from_numpy(random.integers(0, classes, (4, 5))).repeat_interleave(
        size[0] // 4, 0
    )
    truth = image()
    units = torch.from_numpy(random.standard_normal((2, 1, 6, 20))).float()
    queries, keys = torch.nn.functional.normalize(units, dim=2)
    match = CosineMatch(queries, keys, (4, 5), (5, 4))
    return Prediction(
        name=name or f"sample {index}",
        fake=(0.6 * truth + 0.4 * image()).clamp(-1, 1),
        warped=image().clamp(-1, 1),
        exemplar=image().clamp(-1, 1),
        condition=torch.zeros(1, *size),
        match=match,
        index=0,
        warped_labels=torch.from_numpy(random.uniform(0, 1, (classes, 4, 5))),
        exemplar_positions=torch.from_numpy(random.uniform(-1, 1, (2, *size))).float(),
        truth=truth.clamp(-1, 1),
        labels=labels.repeat_interleave(size[1] // 5, 1),
        paired=paired,
    )


def measured(kind, options, count, names, rank=0, ranks=1):
    """What a metric of a data set of `count` samples says, on this rank of several.

    Samples go round in turn, as mmengine's sampler deals them, and the first ones again until each
    rank has as many.
    """
    metric = METRICS.build(dict(type=kind, **options))
    rounds = -(-count // ranks)
    for turn in range(rounds):
        index = (turn * ranks + rank) % count
        metric.process(None, [make(index, name=names[index] if names else None)])
    values = metric.evaluate(count)
    return values, metric.passports() if rank == 0 else None, metric.per_sample


@pytest.fixture
def sample():
    """Makes a prediction; see `make`."""
    return make


@pytest.fixture
def samples(sample):
    """Five of them."""
    return [sample(index) for index in range(5)]
