from __future__ import annotations

import math

import pytest
import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.losses import MaskLoss, mask_nll


def test_equals_a_loop_over_positions_that_count():
    torch.manual_seed(0)
    batch, classes, size, factor = 3, 6, 4, 2
    warped = torch.randn(batch, classes, size, size).softmax(1)
    labels = torch.randint(0, classes, (batch, size * factor, size * factor))
    exemplar = torch.randint(0, classes, (batch, size * factor, size * factor))
    exemplar[exemplar == 3] = 4
    costs = []
    for b in range(batch):
        have = set(exemplar[b, ::factor, ::factor].flatten().tolist())
        for i in range(size):
            for j in range(size):
                label = labels[b, i * factor, j * factor].item()
                if label != 0 and label in have:
                    costs.append(-math.log(warped[b, label, i, j].item()))
    assert 0 < len(costs) < batch * size * size
    expected = sum(costs) / len(costs)
    assert mask_nll(warped, labels, exemplar).item() == pytest.approx(expected, rel=1e-5)


def test_value_and_gradient_where_probabilities_vanish():
    """The released form, log(p + 1e-10), on labels warped by a sharp softmax."""
    logits = (torch.randn(2, 4, 3, 3, dtype=torch.float64) * 15).requires_grad_()
    labels, exemplar = torch.randint(0, 4, (2, 2, 3, 3))
    costs = []
    for b in range(2):
        for i in range(3):
            for j in range(3):
                label = labels[b, i, j]
                if label != 0 and (exemplar[b] == label).any():
                    weights = torch.exp(logits[b, :, i, j])
                    costs.append(-torch.log(weights[label] / weights.sum() + 1e-10))
    assert max(cost.item() for cost in costs) > 20  # some right label has less than 1e-9
    expected = torch.stack(costs).mean()
    got = mask_nll(logits.softmax(1), labels, exemplar)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    ours, theirs = (torch.autograd.grad(loss, logits)[0] for loss in (got, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_ignore_label_none_counts_class_zero():
    warped = torch.tensor([[0.25], [0.75]]).view(1, 2, 1, 1)
    zero = torch.zeros(1, 1, 1, dtype=torch.long)
    assert mask_nll(warped, zero, zero, ignore_label=0).item() == 0
    assert mask_nll(warped, zero, zero, ignore_label=None).item() == pytest.approx(math.log(4))
    assert mask_nll(warped, zero + 1, zero + 1, ignore_label=1).item() == 0


def test_zero_probability_is_finite_and_nothing_that_counts_is_zero_with_graph():
    warped = torch.tensor([[1.0], [0.0]]).view(1, 2, 1, 1).requires_grad_()
    one = torch.ones(1, 1, 1, dtype=torch.long)
    loss = mask_nll(warped, one, one)
    assert loss.item() == pytest.approx(-math.log(1e-10), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, warped)
    assert gradient.isfinite().all()
    lacking = mask_nll(warped, one, one * 0)
    (gradient,) = torch.autograd.grad(lacking, warped)
    assert lacking.item() == 0
    assert gradient.abs().sum() == 0


def test_module_reads_the_bundle(make_translation):
    translation = make_translation(2)
    loss = MaskLoss()
    assert loss.weight == 100
    assert loss.requires == {"warped_labels", "labels", "exemplar_labels"}
    batch, warped = translation.batch, translation.alignment.warped_labels
    expected = mask_nll(warped, batch.labels, batch.exemplar_labels)
    assert loss(translation).item() == pytest.approx(expected.item())
    translation.alignment.warped_labels = None
    with pytest.raises(AttributeError, match="warped_labels"):
        loss(translation)
    with pytest.raises(ConfigError, match="eps"):
        MaskLoss(eps=0)
