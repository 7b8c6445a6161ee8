"""The graph, and what it is captured from."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcltoolkit.errors import ConfigError
from mcltoolkit.export import Signature, capture, sample_inputs
from mcltoolkit.export.capture import ExportedNetwork, plain_network

SIGNATURE = Signature((32, 32), 6, "labels", True)


@torch.no_grad()
def test_folding_spectral_norm_changes_no_output_and_leaves_the_model_alone(tiny_gan):
    translator = tiny_gan().translator.eval()
    before = {name: value.clone() for name, value in translator.state_dict().items()}
    assert any("parametrizations" in name for name in before)
    inputs = sample_inputs(SIGNATURE, 2, "scene")
    expected = ExportedNetwork(translator)(**inputs)
    plain = plain_network(translator)
    assert not any("parametrizations" in name for name in plain.state_dict())
    for ours, theirs in zip(expected, plain(**inputs), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=2e-5)
    assert translator.state_dict().keys() == before.keys()
    assert all(torch.equal(translator.state_dict()[name], before[name]) for name in before)
    again = ExportedNetwork(translator)(**inputs)
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))


class Deciding(nn.Module):
    """An encoder that looks at values to decide what to do."""

    out_channels, stride = 4, 4

    def forward(self, x):
        x = F.avg_pool2d(x, 4)[:, :4]
        return x if x.mean() > 0 else -x


def test_a_part_that_decides_by_values_is_refused_with_its_name(tiny_gan):
    translator = tiny_gan().translator.eval()
    translator.condition_encoder = Deciding()
    with pytest.raises(ConfigError, match=r"cannot capture .*condition_encoder Deciding.*"
                       r"tools/translate\.py") as caught:  # fmt: skip
        capture(translator, SIGNATURE)
    assert "docs/export.md" in str(caught.value)
