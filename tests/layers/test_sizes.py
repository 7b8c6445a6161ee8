import pytest

from mcltoolkit.errors import ConfigError
from mcltoolkit.layers import check_divisible


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (32, 320)])
def test_multiples_pass(size):
    check_divisible(*size, 32, "Net")


@pytest.mark.parametrize(
    ("size", "remedy"),
    [
        ((64, 100), "height 64, width 96 or 128"),
        ((70, 96), "height 64 or 96, width 96"),
        ((0, 31), "height 32, width 32"),
    ],
)
def test_error_names_size_stride_and_remedy(size, remedy):
    with pytest.raises(ConfigError) as caught:
        check_divisible(*size, 32, "Net")
    message = str(caught.value)
    assert f"Net cannot take a {size[0]}x{size[1]} image" in message
    assert "stride 32" in message
    assert remedy in message
