"""A third party's plugin: one loss and one encoder."""

from torch import nn

from mcltoolkit import ENCODERS, LOSSES, hookimpl
from mcltoolkit.losses.base import Loss

contract_version = 1


@LOSSES.register_module()
class DarknessLoss(Loss):
    """Mean brightness of the output, in [0, 2]."""

    def forward(self, translation):
        return (translation.fake + 1).mean()


@ENCODERS.register_module()
class PatchEncoder(nn.Module):
    """One strided convolution: (B, C, H, W) -> (B, width, H / 4, W / 4)."""

    stride = 4

    def __init__(self, in_channels, width=16):
        super().__init__()
        self.out_channels = width
        self.patches = nn.Conv2d(in_channels, width, kernel_size=4, stride=4)

    def forward(self, image):
        return self.patches(image)


@hookimpl
def register_components():
    """Importing this module has registered everything."""
