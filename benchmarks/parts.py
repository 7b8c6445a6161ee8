"""The parts, each alone: forward and backward pass at growing sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.cases import Case, Place, Work
from mcltoolkit import ops
from mcltoolkit.correspondence import CosineCorrespondence
from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.layers import NonLocalAttention, unit_length
from mcltoolkit.layers.conv import Conv, spectral
from mcltoolkit.losses.contextual import contextual_loss
from mcltoolkit.losses.marginal import marginal_contrastive

GRIDS = (32, 64, 128, 256)
GIB = 2**30
LABELS = 151
CLASSES, SIDE = (12, 50, 100, 151), 256


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _of_match()
    yield from _of_losses()
    yield from _of_convolutions()


def _of_match() -> Iterator[Case]:
    for width in (256, 2304):
        for grid in GRIDS:
            n = grid**2
            yield Case(
                f"match/{width}/{grid}", "parts", _match(grid, width, 3),
                (f"match of {width} values", "grid", grid),
                operations=6.0 * n * n * (width + 3),
                quick=grid == 32 or (grid, width) == (64, 256),
                plain_gb=6 * 4 * n * n / GIB, fast_gb=6 * 4 * n * width / GIB,
            )  # fmt: skip
    for grid in (32, 64, 128):
        n = grid**2
        yield Case(
            f"match-all/{grid}", "parts", _match_all(grid, 256),
            ("match, labels and cycle", "grid", grid),
            operations=6.0 * n * n * (256 + 2 * 3 + LABELS),
            quick=grid == 32, plain_gb=9 * 4 * n * n / GIB,
        )  # fmt: skip
    for grid in GRIDS:
        n = grid**2
        yield Case(
            f"match-3x3/256/{grid}", "parts", _match_squares(grid, 256),
            ("match of 3x3 neighbourhoods", "grid", grid),
            operations=6.0 * n * n * (9 * 256 + 3),
            quick=grid == 32, plain_gb=6 * 4 * n * n / GIB, fast_gb=6 * 4 * n * 9 * 256 / GIB,
        )  # fmt: skip
    for grid in GRIDS:
        n, keys = grid**2, (grid // 2) ** 2
        yield Case(
            f"attention/{grid}", "parts", _attention(grid, 256), ("attention", "grid", grid),
            operations=6.0 * n * keys * (32 + 128),
            quick=grid <= 64, plain_gb=4 * 4 * n * keys / GIB,
        )  # fmt: skip


def _of_losses() -> Iterator[Case]:
    for grid in GRIDS:
        n = grid**2
        yield Case(
            f"contextual/128/{grid}", "parts", _contextual(grid, 128),
            ("contextual loss", "grid", grid),
            operations=4.0 * n * n * 128, quick=grid <= 64, plain_gb=7 * 4 * n * n / GIB,
        )  # fmt: skip
        yield Case(
            f"marginal/256/{grid}", "parts", _marginal(grid, 256),
            ("marginal loss", "grid", grid),
            operations=6.0 * n * n * 256, quick=grid <= 64, plain_gb=5 * 4 * n * n / GIB,
        )  # fmt: skip


def _of_convolutions() -> Iterator[Case]:
    for classes in CLASSES:
        yield Case(
            f"one-hot/{classes}/{SIDE}", "parts", _one_hot(classes, SIDE, 128),
            ("one-hot convolution", "classes", classes),
            operations=4.0 * 9 * classes * 128 * SIDE**2, quick=classes in (12, 151),
        )  # fmt: skip
    for channels, side in ((64, 256), (1024, 16)):
        yield Case(f"modulate/{channels}/{side}", "parts", _modulate(channels, side), quick=True)
    for side in (32, 64, 128):
        yield Case(
            f"conv/256/512/{side}", "parts", _conv(256, 512, side),
            ("3x3 convolution, 256 to 512 channels", "grid", side),
            operations=6.0 * 9 * 256 * 512 * side**2, quick=side == 64,
        )  # fmt: skip
    for channels, side in ((512, 64), (1024, 16)):
        yield Case(
            f"spectral/{channels}/{side}", "parts", _spectral(channels, side),
            operations=6.0 * 9 * channels**2 * side**2, quick=True,
        )  # fmt: skip


def _match(grid: int, width: int, values: int) -> Callable[[Place], Work]:
    """The exemplar's values seen from the condition, and the gradient of both sides."""

    def make(place: Place) -> Work:
        ours, theirs, kept = _sides(place, grid, width, values)

        def work() -> Tensor:
            match = CosineMatch(ours, theirs, (grid, grid), (grid, grid))
            with _autocast(place):
                loss = match.warp(kept).square().mean()
            _backward(loss, ours, theirs)
            return loss.detach()

        return work

    return make


def _match_squares(grid: int, width: int) -> Callable[[Place], Work]:
    """The whole of a published match: embedding, 3x3 neighbourhoods, centring, softmax, warp."""

    def make(place: Place) -> Work:
        part = CosineCorrespondence(width, LABELS, embed=width, blocks=0).to(place.device)
        first, noise = (_random(place, 1, width, grid, grid) for _ in range(2))
        ours, theirs = first.requires_grad_(), (first + 0.5 * noise).detach().requires_grad_()
        colours = _random(place, 1, 3, grid**2)

        def work() -> Tensor:
            with _autocast(place):
                loss = part.make_match(ours, theirs).warp(colours).square().mean()
            _backward(loss, ours, theirs)
            return loss.detach()

        return work

    return make


def _match_all(grid: int, width: int) -> Callable[[Place], Work]:
    """What a training step of MCL-Net asks of a match: colours, their way back, and labels."""

    def make(place: Place) -> Work:
        ours, theirs, colours = _sides(place, grid, width, 3)
        ids = torch.randint(0, LABELS, (1, grid**2), device=place.device)
        labels = functional.one_hot(ids, LABELS).transpose(1, 2).to(colours.dtype).contiguous()

        def work() -> Tensor:
            match = CosineMatch(ours, theirs, (grid, grid), (grid, grid))
            with _autocast(place):
                warped = match.warp(colours)
                back = match.warp_back(warped)
                loss = (back - colours).abs().mean() + match.warp(labels).square().mean()
            _backward(loss, ours, theirs)
            return loss.detach()

        return work

    return make


def _sides(place: Place, grid: int, width: int, values: int) -> tuple[Tensor, Tensor, Tensor]:
    """Descriptors of two pictures that are alike, as those of a trained model, and values."""
    first, noise = (_random(place, 1, width, grid**2) for _ in range(2))
    ours, theirs = (unit_length(x).detach().requires_grad_() for x in (first, first + 0.5 * noise))
    return ours, theirs, _random(place, 1, values, grid**2)


def _attention(grid: int, channels: int) -> Callable[[Place], Work]:
    def make(place: Place) -> Work:
        layer = NonLocalAttention(channels, spectral_norm=False).to(place.device)
        nn.init.ones_(layer.gain)
        return _through(place, layer, _random(place, 1, channels, grid, grid))

    return make


def _contextual(grid: int, channels: int) -> Callable[[Place], Work]:
    def make(place: Place) -> Work:
        source, target = (_random(place, 1, channels, grid, grid) for _ in range(2))
        source.requires_grad_()

        def work() -> Tensor:
            loss = contextual_loss(source, target).mean()
            _backward(loss, source)
            return loss.detach()

        return work

    return make


def _marginal(grid: int, width: int) -> Callable[[Place], Work]:
    def make(place: Place) -> Work:
        anchor, noise = (_random(place, 1, grid**2, width) for _ in range(2))
        positive = (anchor + noise).detach().requires_grad_()
        anchor.requires_grad_()

        def work() -> Tensor:
            loss = marginal_contrastive(anchor, positive, 0.07, 0.25)
            _backward(loss, anchor, positive)
            return loss.detach()

        return work

    return make


def _conv(channels: int, outs: int, side: int) -> Callable[[Place], Work]:
    def make(place: Place) -> Work:
        layer = Conv(channels, outs, 3, reflect=1).to(place.device)
        return _through(place, layer, _random(place, 1, channels, side, side))

    return make


def _spectral(channels: int, side: int) -> Callable[[Place], Work]:
    def make(place: Place) -> Work:
        layer = spectral(Conv(channels, channels, 3, reflect=1)).to(place.device).train()
        work = _through(place, layer, _random(place, 1, channels, side, side))

        def unlike_itself() -> None:
            work()  # each pass takes a step of the power iteration: results are not to be compared

        return unlike_itself

    return make


def _one_hot(classes: int, side: int, out_channels: int) -> Callable[[Place], Work]:
    """The convolution of a label map, and the gradient of its weight."""

    def make(place: Place) -> Work:
        coarse = torch.rand(1, 1, side // 8, side // 8, device=place.device) * classes
        ids = functional.interpolate(coarse, (side, side))[:, 0].long()
        weight = _random(place, out_channels, classes, 3, 3).mul_(0.02).requires_grad_()

        def work() -> Tensor:
            with _autocast(place):
                loss = ops.one_hot_conv2d(ids, weight, padding=1).float().square().mean()
            _backward(loss, weight)
            return loss.detach()

        return work

    return make


def _modulate(channels: int, side: int) -> Callable[[Place], Work]:
    """Positional norm, scale, shift and activation of a SPADE layer."""

    def make(place: Place) -> Work:
        features = _random(place, 1, channels, side, side).requires_grad_()
        both = _random(place, 1, 2 * channels, side, side).requires_grad_()

        def work() -> Tensor:
            loss = ops.modulate(features, both, slope=0.2).float().square().mean()
            _backward(loss, features, both)
            return loss.detach()

        return work

    return make


def _through(place: Place, layer: nn.Module, x: Tensor) -> Work:
    """A layer forward and backward, with the gradients of its input and its parameters."""
    x.requires_grad_()
    sources = [x, *layer.parameters()]

    def work() -> Tensor:
        with _autocast(place):
            loss = layer(x).float().square().mean()
        _backward(loss, *sources)
        return loss.detach()

    return work


def _backward(loss: Tensor, *sources: Tensor) -> None:
    torch.autograd.grad(loss, sources)


def _random(place: Place, *shape: int) -> Tensor:
    return torch.randn(*shape, device=place.device, dtype=getattr(torch, place.dtype))


def _autocast(place: Place) -> torch.autocast:
    half = place.dtype in ("float16", "bfloat16")
    kind = torch.device(place.device).type
    return torch.autocast(kind, getattr(torch, place.dtype) if half else None, enabled=half)
