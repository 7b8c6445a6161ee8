"""Recurrent refinement: small moves of the candidates that no search would find.

CoCosNet v2 (Zhou et al., CVPR 2021, section 3.2) runs a convolutional GRU beside PatchMatch, since
propagation is local: its state sees scores and flow of a whole neighbourhood. The separable gates
(1 x 5, then 5 x 1) are those of RAFT (Teed and Deng, ECCV 2020); ConvGRU: Ballas et al., ICLR 2016.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcltoolkit.layers import InstanceNorm, at_least_float32, init_weights

SPAN = 5  # positions that a gate sees along its axis
MOVE_GAIN = 0.02  # initial moves of hundredths of a cell: the untrained refinement disturbs nothing


class ConvGRU(nn.Module):
    """One convolutional gated recurrent unit.

    z = sigma(conv [h, x]), r = sigma(conv [h, x]), q = tanh(conv [r h, x]); h becomes
    (1 - z) h + z q.

    Args:
        hidden: channels of the state.
        inputs: channels of the input.
        kernel: (rows, columns), odd.
    """

    def __init__(self, hidden: int, inputs: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.gates = nn.Conv2d(hidden + inputs, 2 * hidden, kernel, padding=padding)
        self.proposal = nn.Conv2d(hidden + inputs, hidden, kernel, padding=padding)

    def forward(self, state: Tensor, x: Tensor) -> Tensor:
        """State (B, hidden, h, w) and input (B, inputs, h, w) -> the next state."""
        update, reset = self.gates(torch.cat([state, x], dim=1)).sigmoid().chunk(2, dim=1)
        proposed = self.proposal(torch.cat([reset * state, x], dim=1)).tanh()
        return (1 - update) * state + update * proposed


class OffsetRefiner(nn.Module):
    """Moves each candidate, from scores, flow and a recurrent state that starts from features.

    A move is at most `reach` cells along each axis: `reach` times a tanh.

    Args:
        embed: channels of the features that are compared.
        candidates: K.
        hidden: channels of the state.
        reach: cells.
    """

    def __init__(self, embed: int, candidates: int, hidden: int = 32, reach: float = 2.0) -> None:
        super().__init__()
        self.reach = reach
        self.candidates = candidates
        self.start_layers = nn.Sequential(
            nn.Conv2d(2 * embed, hidden, 3, padding=1),
            InstanceNorm(),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
        )
        self.read = nn.Sequential(
            nn.Conv2d(3 * candidates, 2 * hidden, 1),
            nn.ReLU(),
            nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1),
            nn.ReLU(),
        )
        self.horizontal = ConvGRU(hidden, 2 * hidden, (1, SPAN))
        self.vertical = ConvGRU(hidden, 2 * hidden, (SPAN, 1))
        self.move = nn.Sequential(
            nn.Conv2d(hidden, 2 * hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * hidden, 2 * candidates, 3, padding=1),
        )
        init_weights(self, gain=1.0)
        init_weights(self.move[-1], gain=MOVE_GAIN)

    def start(self, queries: Tensor, partners: Tensor) -> Tensor:
        """The first state (B, hidden, h, w).

        Args:
            queries: (B, embed, h, w), features of the condition.
            partners: the same, features of the best candidates.
        """
        state: Tensor = self.start_layers(torch.cat([queries, partners], dim=1))
        return state.tanh()

    def forward(
        self, state: Tensor, scores: Tensor, flow: Tensor, exemplar_grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """The next state, and the moves.

        Args:
            state: (B, hidden, h, w).
            scores: (B, K, h, w) in [-1, 1], or -inf; fewer than K are filled up.
            flow: (B, K, 2, h, w) in cells: candidates minus the position's own place.
            exemplar_grid: (h, w) of the exemplar, the unit in which flow is read.

        Returns:
            State (B, hidden, h, w), and moves (B, K, 2, h, w) in cells, float32 at least.
        """
        found = scores.shape[1]
        missing = (0, 0, 0, 0, 0, self.candidates - found)  # of the candidates' axis
        # read as plain numbers, as in RAFT; gradient goes along the state and the moves themselves
        scores = F.pad(scores.detach().clamp_min(-1), missing, value=-1.0)
        row, column = (F.pad(part, missing) for part in flow.detach().unbind(2))
        x = self.read(torch.cat([scores, row / exemplar_grid[0], column / exemplar_grid[1]], dim=1))
        state = self.vertical(self.horizontal(state, x), x)
        moves = self.reach * at_least_float32(self.move(state)).tanh()
        return state, moves.unflatten(1, (self.candidates, 2))[:, :found]
