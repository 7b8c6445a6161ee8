"""Two strided convolutions.

Replace this with your idea and its source.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit import ENCODERS
from mcltoolkit.layers import Conv, build_norm, check_divisible

STRIDE = 4


@ENCODERS.register_module()
class MyPart(nn.Module):
    """Condition or image -> feature map, at a quarter of the size.

    A model has two encoders, `condition_encoder` and `image_encoder`, whose maps have the same
    channels and stride; see `mcltoolkit.interfaces.Encoder`.

    Args:
        in_channels: of the input, filled in by the toolkit.
        width: channels of the map.

    Attributes:
        out_channels, stride: what the toolkit reads.
    """

    def __init__(self, in_channels: int, width: int = 64) -> None:
        super().__init__()
        self.out_channels = width
        self.stride = STRIDE
        self.first = Conv(in_channels, width, 4, stride=2, padding=1)
        self.norm = build_norm("instance", width)
        self.second = Conv(width, width, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H / 4, W / 4).

        Raises:
            ConfigError: H or W is not a multiple of 4.
        """
        check_divisible(x.shape[-2], x.shape[-1], self.stride, type(self).__name__)
        features: Tensor = self.second(F.leaky_relu(self.norm(self.first(x)), 0.2))
        return features
