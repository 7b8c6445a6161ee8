"""A match that is steady over the frames of a video.

Frame by frame, small changes anywhere in the condition change the match everywhere: each position
sees a neighbourhood, and the softmax at a low temperature turns small differences into other
places of the exemplar. The picture flickers although nothing moves. Here the warped exemplar (all
that the generator is given) is a moving average over the frames wherever the condition rests:

    steady(t) = s * steady(t-1) + (1 - s) * frame(t)        where the condition rests
    steady(t) = frame(t)                                    where it has changed

A pixel has changed if its own condition differs from the last frame's (another label; for maps, any
channel by more than `MAP_CHANGE`), or if more than `BUSY` of the pixels around it have, in a square
of `REACH` cells of the match: there something moves, and what moves is matched anew, its edge and
what it uncovers at once. If more than `CUT` of all pixels have changed it is another scene, and
everything is new. So nothing stays where the label is another than before; the inside of a large
object of one class that moves follows within about 1 / (1 - s) frames.

For independent noise, an average with s lets frames differ by (1 - s) / sqrt(1 + s) of what they
did: 0.15 at s = 0.8. The condition that the generator is given is the frame's own, with its noise.
This toolkit's own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.structures import Alignment

BUSY = 0.1
CUT = 0.25
REACH = 3
MAP_CHANGE = 0.1


class Steadier:
    """Averages the alignments of consecutive frames.

    Args:
        steadiness: s in 0..1; 0 leaves every frame as it is, 1 keeps the first match for as long as
            the condition rests.

    Raises:
        ConfigError: another value.
    """

    def __init__(self, steadiness: float = 0.8) -> None:
        if isinstance(steadiness, str) or not 0 <= steadiness <= 1:
            raise ConfigError(f"steadiness is {steadiness!r}; allowed are 0 (none) to 1")
        self.steadiness = float(steadiness)
        self._condition: Tensor | None = None
        self._kept: tuple[Tensor, Tensor | None] | None = None
        self._size: tuple[int, int] | None = None

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse a frame of another size than the first: (height, width), before padding.

        Raises:
            ConfigError: it has, and frames are steadied.
        """
        self._size = self._size or size
        if self.steadiness and size != self._size:
            raise ConfigError(
                f"a frame is translated at {size[0]}x{size[1]}, those before at "
                f"{self._size[0]}x{self._size[1]}; the frames of a video must have one size: give "
                f"--size HEIGHT WIDTH"
            )

    def __call__(self, alignment: Alignment, condition: Tensor) -> Alignment:
        """The alignments of the next frames, steadied; `match` is left as it is.

        Args:
            alignment: of B frames in their order.
            condition: (B, C, H, W), dense; of the same size in all calls, see `check_size`.
        """
        if not self.steadiness:
            return alignment
        warped, guidance = [], []
        for i in range(len(condition)):
            frame = (
                alignment.warped[i : i + 1],
                None if alignment.guidance is None else alignment.guidance[i : i + 1],
            )
            now = condition[i : i + 1]
            self._kept = self._next(frame, now, alignment.match.grid)
            self._condition = now
            warped.append(self._kept[0])
            if self._kept[1] is not None:
                guidance.append(self._kept[1])
        joined = torch.cat(guidance) if guidance else None
        return replace(alignment, warped=torch.cat(warped), guidance=joined)

    def _next(
        self, frame: tuple[Tensor, Tensor | None], now: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        if self._condition is None or self._kept is None:
            return frame
        rests = ~changed(self._condition, now, grid)
        (old, old_guidance), (new, new_guidance) = self._kept, frame
        warped = self._mean(old, new, rests)
        if old_guidance is None or new_guidance is None:
            return warped, None
        return warped, self._mean(old_guidance, new_guidance, rests)

    def _mean(self, old: Tensor, new: Tensor, rests: Tensor) -> Tensor:
        mean = self.steadiness * old + (1 - self.steadiness) * new
        return torch.where(rests, mean, new)


def changed(before: Tensor, now: Tensor, grid: tuple[int, int]) -> Tensor:
    """Where something has changed or moves: (B, 1, H, W) bool.

    Args:
        before, now: dense conditions (B, C, H, W) of two frames.
        grid: of the match.
    """
    own = (now - before).abs().amax(1, keepdim=True) > MAP_CHANGE
    share = own.float().mean((1, 2, 3), keepdim=True)
    # odd, so that the square lies around the pixel
    cells = [side // count for side, count in zip(own.shape[2:], grid, strict=True)]
    reach = [REACH * pixels // 2 * 2 + 1 for pixels in cells]
    pad = [reach[0] // 2, reach[1] // 2]
    around = F.avg_pool2d(own.float(), reach, 1, pad, count_include_pad=False)
    return own | (around > BUSY) | (share > CUT)
