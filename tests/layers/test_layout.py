"""The memory format that networks give their maps."""

from __future__ import annotations

import torch
from torch import nn

from mcltoolkit.layers import layout


def test_large_maps_have_channels_last_and_small_ones_do_not(monkeypatch):
    monkeypatch.setattr(layout, "LARGE", 16)
    network = nn.Conv2d(3, 4, 3)
    small, large = torch.rand(2, 3, 3, 5), torch.rand(2, 3, 4, 4)
    assert layout.suited(large, network).is_contiguous(memory_format=torch.channels_last)
    back = layout.suited(small.contiguous(memory_format=torch.channels_last), network)
    assert back.is_contiguous()
    assert torch.equal(back, small)


def test_a_run_in_channels_last_keeps_it(monkeypatch):
    monkeypatch.setattr(layout, "LARGE", 10**9)
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    assert layout.suited(x, network) is x


def test_where_no_weight_can_tell_a_map_stays_as_it_is(monkeypatch):
    """1 x 1 convolutions have weights that are in both orders."""
    monkeypatch.setattr(layout, "LARGE", 16)
    network = nn.Conv2d(3, 4, 1).to(memory_format=torch.channels_last)
    for x in (torch.rand(2, 3, 4, 4), torch.rand(2, 3, 2, 2)):
        for form in (torch.contiguous_format, torch.channels_last):
            given = x.contiguous(memory_format=form)
            assert layout.suited(given, network) is given
