"""Checks of sizes: that an image fits a network's stride, that widths are widths."""

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


def check_counts(who: str, **values: object) -> None:
    """Check that each value is a whole number of at least 1.

    Args:
        who: the component, for the message.
        values: by the name of the setting.

    Raises:
        ConfigError: one is not.
    """
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{who}.{name} is {value!r}; allowed are whole numbers >= 1")
