"""What the shapes of the released tensors tell: widths, channels, kernels and options.

Each size is read from several tensors and the most frequent answer taken, so that a missing or
misshapen tensor is found out by the others instead of bending the whole network to its shape.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
Anchor = tuple[str, int, int]  # pattern of the key, axis, divisor


@dataclass(frozen=True)
class Size:
    """A size to read.

    Attributes:
        what: its name in messages.
        anchors: where it is read from.
        released: what it is in the released networks, taken where no tensor tells it.
    """

    what: str
    anchors: tuple[Anchor, ...]
    released: int


_HIDDEN = Size("SPADE's hidden width", ((r"(.*\.)?mlp_shared\.1\.(weight|bias)", 0, 1),), 128)
_KERNEL = Size("SPADE's kernel", ((r"(.*\.)?mlp_(shared\.1|gamma|beta)\.weight", 2, 1),), 3)
_GENERATOR_WIDTH = Size(
    "the base width",
    (
        ("conv_img.weight", 1, 1),
        (r"up_3\.conv_[01]\.weight_orig", 0, 1),
        (r"up_2\.conv_[01]\.weight_orig", 0, 2),
        (r"up_1\.conv_[01]\.weight_orig", 0, 4),
        (r"(head_0|G_middle_[01])\.conv_[01]\.weight_orig", 0, 16),
        ("fc.weight", 0, 16),
    ),
    64,
)
_ENCODER_WIDTH = Size(
    "the base width",
    (
        ("layer1.0.weight_orig", 0, 1),
        ("layer2.0.weight_orig", 0, 2),
        ("layer3.0.weight_orig", 0, 4),
        (r"layer[45]\.0\.weight_orig", 0, 8),
        (r"(head_0|G_middle_0)\.conv_[01]\.weight_orig", 0, 8),
    ),
    64,
)
_STRIDE_KERNEL = Size(
    "the stride kernel",
    (
        (r"layer2\.0\.weight_orig", 2, 1),
        (r"layer2\.0\.weight_orig", 3, 1),
        (r"layer4\.0\.weight_orig", 2, 1),  # one vote only: it may have no stride
    ),
    4,
)
_ENCODER_OUT = Size(
    "the width of the output",
    (
        (r"G_middle_1\.conv_[01s]\.weight_orig", 0, 1),
        (r"G_middle_1\.norm_1\.mlp_(gamma|beta)\.weight", 0, 1),
    ),
    256,
)
_EMBED = Size("the width of theta and phi", ((r"(theta|phi)\.(weight|bias)", 0, 1),), 256)
_DISCRIMINATOR_WIDTH = Size(
    "the base width",
    (
        (r"discriminator_\d+\.model0\.0\.(weight|bias)", 0, 1),
        (r"discriminator_\d+\.model1\.0\.0\.weight_orig", 0, 2),
    ),
    64,
)
# Widths that hold the condition's channels; what they are in the released networks is the task's.
_CONTEXT: tuple[Anchor, ...] = ((r"(.*\.)?mlp_shared\.1\.weight", 1, 1),)
_GENERATOR_CONTEXT: tuple[Anchor, ...] = (*_CONTEXT, ("fc.weight", 1, 1))
_ENCODER_CONTEXT: tuple[Anchor, ...] = (*_CONTEXT, (r"layer1\.0\.weight_orig", 1, 1))
_INPUTS: tuple[Anchor, ...] = ((r"discriminator_\d+\.model0\.0\.weight", 1, 1),)
_JOINT: tuple[Anchor, ...] = (
    (r"layer\.\d+\.conv[12]\.weight", 1, 1),
    (r"(theta|phi)\.weight", 1, 1),
)


@dataclass
class Architecture:
    """What was inferred.

    Attributes:
        settings: by part of the model.
        channels: of the condition, by the files that tell them.
        assumed: what no tensor of a file tells, so that the released size was taken, by file.
    """

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    assumed: dict[str, list[str]] = field(default_factory=dict)

    def read(self, network: str, size: Size, shapes: Shapes, part: str = "") -> int:
        """A size of a network's part, the released one where no tensor tells it."""
        value = _vote(shapes, size.anchors)
        if value:
            return value
        whose = f"{size.what} of {part}" if part else size.what
        self.assumed.setdefault(network, []).append(
            f"unread     {whose}; expected shapes have the released one, {size.released}"
        )
        return size.released

    def read_channels(
        self, network: str, shapes: Shapes, anchors: tuple[Anchor, ...], beside: int = 0
    ) -> None:
        """The condition's channels, which come with `beside` others."""
        value = _vote(shapes, anchors)
        if value and value > beside:
            self.channels[network] = value - beside
        else:
            self.assumed.setdefault(network, []).append("unread     the condition's channels")


def infer(
    networks: Mapping[str, Shapes],
    prefer: Mapping[str, Any],
    stride_kernel: int = _STRIDE_KERNEL.released,
) -> Architecture:
    """Settings of all parts from the shapes of the released networks.

    Args:
        networks: {`generator`, `alignment` and, if at hand, `discriminator`: {key: shape}}.
        prefer: settings of the correspondence to keep where the shapes leave a choice.
        stride_kernel: of the task's encoders, taken where no tensor tells it.

    Returns:
        Settings for `condition_encoder`, `image_encoder`, `correspondence`, `generator` and
        `discriminator`; the condition channels that each file tells; what was assumed.
    """
    found = Architecture()
    shapes = networks["generator"]
    found.read_channels("generator", shapes, _GENERATOR_CONTEXT, beside=3)
    found.settings["generator"] = {
        "base_width": found.read("generator", _GENERATOR_WIDTH, shapes),
        "spade_hidden": found.read("generator", _HIDDEN, shapes),
        "kernel": found.read("generator", _KERNEL, shapes),
        "attention": _has(shapes, r"attn\."),
        **_norm(shapes),
    }
    alignment = networks["alignment"]
    stride = replace(_STRIDE_KERNEL, released=stride_kernel)
    for part, prefix in (("condition_encoder", "seg"), ("image_encoder", "img")):
        name = f"adaptive_model_{prefix}"
        shapes = {k.removeprefix(f"{name}."): v for k, v in alignment.items() if k.startswith(name)}
        found.settings[part] = _encoder(found, shapes, name, stride)
        if part == "condition_encoder":
            found.read_channels("alignment", shapes, _ENCODER_CONTEXT)
    if "discriminator" in networks:
        shapes = networks["discriminator"]
        found.settings["discriminator"] = _discriminator(found, shapes)
        found.read_channels("discriminator", shapes, _INPUTS, beside=3)
    width, features = _vote(alignment, _JOINT), found.settings["condition_encoder"]["out_channels"]
    channels = found.channels.get("alignment", max(found.channels.values(), default=0))
    found.settings["correspondence"] = {
        "embed": found.read("alignment", _EMBED, alignment),
        **_appended((width or 0) - features, channels, prefer),
    }
    return found


def _encoder(found: Architecture, shapes: Shapes, name: str, stride: Size) -> dict[str, Any]:
    kernel = found.read("alignment", stride, shapes, name)
    fourth = shapes.get("layer4.0.weight_orig", ())
    base = found.read("alignment", _ENCODER_WIDTH, shapes, name)
    # the output is in proportion to the width, so that one lost block does not bend the others
    out = replace(_ENCODER_OUT, released=_ENCODER_OUT.released * base // _ENCODER_WIDTH.released)
    return {
        "base_width": base,
        "out_channels": found.read("alignment", out, shapes, name),
        "spade_hidden": found.read("alignment", _HIDDEN, shapes, name),
        "spade_kernel": found.read("alignment", _KERNEL, shapes, name),
        "stride_kernel": kernel,
        # a convolution without stride has a 3x3 kernel, whatever the strided ones have
        "second_stride": 1 if kernel == 4 and fourth[2:] == (3, 3) else 2,
        "non_local": _has(shapes, r"attn\."),
        "squeeze_excitation": _has(shapes, r".*\.se_layar\."),
        "extra_blocks": _has(shapes, r"deeper\d\."),
        "dilated": _has(shapes, r"degridding\d\."),
        **_norm(shapes),
    }


def _discriminator(found: Architecture, shapes: Shapes) -> dict[str, Any]:
    scales = [int(m[1]) for k in shapes if (m := re.match(r"discriminator_(\d+)\.", k))]
    depths = [int(m[1]) for k in shapes if (m := re.match(r"discriminator_\d+\.model(\d+)\.", k))]
    layers = max(depths, default=4)
    base = found.read("discriminator", _DISCRIMINATOR_WIDTH, shapes)
    deepest = ((rf"discriminator_\d+\.model{layers - 1}\.0\.0\.weight_orig", 0, 1),)
    widest = _vote(shapes, deepest) or base * min(2 ** (layers - 1), 8)
    settings = {
        "base_width": base,
        "layers": layers,
        "scales": max(scales, default=1) + 1,
        "attention": _has(shapes, r"discriminator_\d+\.attn\."),
    }
    if widest != base * min(2 ** (layers - 1), 8):
        settings["max_width"] = widest
    return settings


def _appended(extra: int, channels: int, prefer: Mapping[str, Any]) -> dict[str, bool]:
    """Which maps are appended to the features, from the number of channels beyond theirs."""
    wished = (bool(prefer.get("mask_mix")), bool(prefer.get("coordinates")))
    every = [(mask, place) for mask in (False, True) for place in (False, True)]
    fitting = [c for c in every if channels * c[0] + 3 * c[1] == extra]
    mask, place = wished if wished in fitting or not fitting else fitting[0]
    return {"mask_mix": mask, "coordinates": place}


def _norm(shapes: Shapes) -> dict[str, str]:
    # positional norm has no tensors of its own; batch norm has its running statistics
    return {"spade_norm": "syncbn" if _has(shapes, r".*\.param_free_norm\.") else "pono"}


def _has(shapes: Shapes, pattern: str) -> bool:
    return any(re.match(pattern, key) for key in shapes)


def _vote(shapes: Shapes, anchors: tuple[Anchor, ...]) -> int | None:
    votes: Counter[int] = Counter()
    for pattern, axis, divisor in anchors:
        for key, shape in shapes.items():
            if len(shape) > axis and shape[axis] % divisor == 0 and re.fullmatch(pattern, key):
                votes[shape[axis] // divisor] += 1
    return votes.most_common(1)[0][0] if votes else None
