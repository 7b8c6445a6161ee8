import pytest
import torch
from mcltoolkit_backbones import TimmEncoder
from mcltoolkit_backbones.sizes import read_size, seen_size

from mcltoolkit.errors import ConfigError


@pytest.mark.parametrize(
    ("image", "setting", "multiple", "fixed", "seen"),
    [
        ((64, 96), None, 32, None, (64, 96)),
        ((48, 80), "nearest", 32, None, (64, 64)),  # 80 lies half way: to the even multiple
        ((250, 260), "nearest", 14, None, (252, 266)),
        ((4, 4), "nearest", 14, None, (14, 14)),
        ((48, 48), (96, 64), 32, None, (96, 64)),
        ((160, 160), None, 32, (160, 160), (160, 160)),
        ((48, 96), "nearest", 32, (160, 160), (160, 160)),
    ],
)
def test_what_the_network_sees(image, setting, multiple, fixed, seen):
    assert seen_size(image, read_size(setting), multiple, fixed) == seen


@pytest.mark.parametrize("size", [0, -4, (32,), (32, 0), "largest", 1.5])
def test_sizes_that_are_none(size):
    with pytest.raises(ConfigError, match="TimmEncoder.img_size is .*allowed are None"):
        read_size(size)


@pytest.mark.parametrize(
    ("model", "size", "told"),
    [
        ("test_resnet", (64, 80), "64x80 image.*multiples of its stride 32.*img_size='nearest'"),
        ("vit_tiny_patch16_224", (60, 64), "60x64 image.*multiples of its stride 16"),
        ("test_resnet", (64, 98), "TimmEncoder cannot take a 64x98.*its stride 4"),
        ("test_coatnet", (64, 64), "160x160 images only.*found 64x64; set img_size"),
    ],
)
def test_an_image_that_the_network_does_not_take(model, size, told):
    with torch.device("meta"):
        encoder = TimmEncoder(3, model, out_channels=8)
        with pytest.raises(ConfigError, match=told):
            encoder(torch.empty(1, 3, *size))


def test_a_size_that_the_network_cannot_be_built_for():
    with torch.device("meta"), pytest.raises(ConfigError, match="'test_coatnet' cannot be built"):
        TimmEncoder(3, "test_coatnet", img_size=(3, 5))
