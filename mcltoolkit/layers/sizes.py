"""The check that an image size fits a network's stride."""

from __future__ import annotations

from mcltoolkit.errors import ConfigError


def check_divisible(height: int, width: int, stride: int, who: str) -> None:
    """Check that an image of `height` x `width` gives a whole grid at `stride`.

    Raises:
        ConfigError: it does not; the message names the size, the stride and the nearest sizes.
    """
    if height >= stride and width >= stride and height % stride == width % stride == 0:
        return

    def neighbours(size: int) -> str:
        below = max(size // stride * stride, stride)
        above = max(-(-size // stride) * stride, stride)
        return f"{below}" if below == above else f"{below} or {above}"

    raise ConfigError(
        f"{who} cannot take a {height}x{width} image (height x width): both must be multiples of "
        f"its stride {stride}; nearest allowed: height {neighbours(height)}, "
        f"width {neighbours(width)}. Resize or crop the data to such a size"
    )
