import pytest
import torch

from mcltoolkit.layers import at_least_float32, without_autocast


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_only_half_precision_is_raised(given, expected):
    assert at_least_float32(torch.ones(2, dtype=given)).dtype is expected


def test_products_keep_their_precision_inside_autocast():
    x = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x).dtype is torch.bfloat16
        with without_autocast(x):
            assert (x @ x).dtype is torch.float32


def test_devices_without_autocast_are_left_alone():
    x = torch.empty(4, 4, device="meta")
    with without_autocast(x):
        assert (x @ x).shape == (4, 4)
