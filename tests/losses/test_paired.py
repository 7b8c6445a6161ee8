from __future__ import annotations

import pytest
import torch

from mcltoolkit.losses.paired import l1_per_sample, paired_mean


def test_mean_over_the_paired_only():
    values = torch.tensor([1.0, 10.0, 4.0])
    assert paired_mean(values, torch.tensor([True, False, True])).item() == 2.5


def test_released_form_divides_by_the_batch_once_more():
    values = torch.tensor([1.0, 10.0, 4.0], dtype=torch.float64)
    some, none = torch.tensor([True, False, True]), torch.zeros(3, dtype=torch.bool)
    weights = [1 / (2 + 1e-5), 0, 1 / (2 + 1e-5)]
    expected = sum(w * v for w, v in zip(weights, values.tolist(), strict=True)) / 3
    assert paired_mean(values, some, released=True).item() == pytest.approx(expected, rel=1e-9)
    assert paired_mean(values, none, released=True).item() == 0


def test_no_paired_sample_gives_zero_with_graph():
    values = torch.tensor([1.0, 10.0], requires_grad=True)
    mean = paired_mean(values, torch.tensor([False, False]))
    mean.backward()
    assert mean.item() == 0
    assert values.grad.tolist() == [0, 0]


def test_l1_per_sample_is_float32_under_autocast():
    a, b = torch.zeros(2, 3, 2, 2), torch.ones(2, 3, 2, 2) * 0.1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = l1_per_sample(a, b)
    torch.testing.assert_close(got, torch.full((2,), 0.1))
