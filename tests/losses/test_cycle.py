from __future__ import annotations

import pytest
import torch

from mcltoolkit.losses import CycleLoss


def test_l1_of_cycle_and_target(make_translation):
    translation = make_translation(2)
    alignment = translation.alignment
    loss = CycleLoss()
    assert loss.requires == {"cycle"}
    value = loss(translation)
    gap = alignment.cycle - alignment.cycle_target
    torch.testing.assert_close(value, gap.abs().sum() / gap.numel())
    value.backward()
    torch.testing.assert_close(alignment.cycle.grad, gap.sign() / gap.numel())


def test_a_correspondence_without_cycle_is_named(make_translation):
    translation = make_translation(1)
    translation.alignment.cycle = None
    with pytest.raises(AttributeError, match="no 'cycle'"):
        CycleLoss()(translation)
