import pytest
import torch
from mcltoolkit_cocosnet2.strided import StridedEncoder

from mcltoolkit.errors import ConfigError
from mcltoolkit.plugins import load_plugins

INNER = dict(type="DomainEncoder", base_width=2, spade_hidden=2, spade_blocks=1)


@pytest.fixture(autouse=True)
def loaded():
    load_plugins(("mcltoolkit_cocosnet2",))


@pytest.mark.parametrize(("halvings", "stride"), [(1, 8), (2, 16)])
def test_stride_is_the_inner_encoders_doubled(halvings, stride):
    encoder = StridedEncoder(5, INNER, halvings=halvings, width=4)
    assert encoder.stride == stride
    assert encoder.out_channels == encoder.encoder.out_channels == 8
    assert encoder(torch.randn(1, 5, 32, 64)).shape == (1, 8, 32 // stride, 64 // stride)


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ConfigError, match="halvings is 0"):
        StridedEncoder(5, INNER, halvings=0)
    with pytest.raises(ConfigError, match="the encoder of StridedEncoder.*type"):
        StridedEncoder(5, {})
    with pytest.raises(ConfigError, match="stride 8"):
        StridedEncoder(5, INNER)(torch.randn(1, 5, 36, 32))
