from __future__ import annotations

import numpy as np
import pytest
import torch

from mcltoolkit.data.retrieval import CosineSimilarity
from mcltoolkit.errors import DataError


def test_cosine_of_blocks():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 7)), rng.standard_normal((6, 7))
    a[3] = 0
    similarity = CosineSimilarity(a, b)
    plain = a @ b.T / np.maximum(np.linalg.norm(a, axis=1), 1e-12)[:, None]
    plain /= np.linalg.norm(b, axis=1)
    block = similarity.block(torch.tensor([4, 3, 0]), slice(2, 6))
    assert block.numpy() == pytest.approx(plain[[4, 3, 0], 2:6], abs=1e-6)
    assert similarity.shape == (5, 6)


def test_widths_that_differ():
    with pytest.raises(DataError, match=r"\(2, 3\), those of candidates \(2, 4\).*same features"):
        CosineSimilarity(np.ones((2, 3)), np.ones((2, 4)))


def test_values_that_are_no_numbers():
    features = np.ones((4, 3))
    features[2, 1] = np.nan
    with pytest.raises(DataError, match=r"1 of 4 candidates are not finite \(first: number 2"):
        CosineSimilarity(np.ones((4, 3)), features)
