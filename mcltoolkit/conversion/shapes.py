"""What the shapes of the released tensors tell: widths, channels, kernels and options.

Each size is read from several tensors and the most frequent answer taken, so that a missing or
misshapen tensor is found out by the others instead of bending the whole network to its shape.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
Anchor = tuple[str, int, int]  # pattern of the key, axis, divisor

_CONTEXT: tuple[Anchor, ...] = ((r"(.*\.)?mlp_shared\.1\.weight", 1, 1),)
_HIDDEN: tuple[Anchor, ...] = ((r"(.*\.)?mlp_shared\.1\.(weight|bias)", 0, 1),)
_KERNEL: tuple[Anchor, ...] = ((r"(.*\.)?mlp_(shared\.1|gamma|beta)\.weight", 2, 1),)
_GENERATOR_WIDTH: tuple[Anchor, ...] = (
    ("conv_img.weight", 1, 1),
    (r"up_3\.conv_[01]\.weight_orig", 0, 1),
    (r"up_2\.conv_[01]\.weight_orig", 0, 2),
    (r"up_1\.conv_[01]\.weight_orig", 0, 4),
    (r"(head_0|G_middle_[01])\.conv_[01]\.weight_orig", 0, 16),
    ("fc.weight", 0, 16),
)
_ENCODER_WIDTH: tuple[Anchor, ...] = (
    ("layer1.0.weight_orig", 0, 1),
    ("layer2.0.weight_orig", 0, 2),
    ("layer3.0.weight_orig", 0, 4),
    (r"layer[45]\.0\.weight_orig", 0, 8),
    (r"(head_0|G_middle_0)\.conv_[01]\.weight_orig", 0, 8),
)
_STRIDE_KERNEL: tuple[Anchor, ...] = (
    (r"layer2\.0\.weight_orig", 2, 1),
    (r"layer2\.0\.weight_orig", 3, 1),
    (r"layer4\.0\.weight_orig", 2, 1),  # one vote only: it may have no stride
)
_ENCODER_OUT: tuple[Anchor, ...] = (
    (r"G_middle_1\.conv_[01s]\.weight_orig", 0, 1),
    (r"G_middle_1\.norm_1\.mlp_(gamma|beta)\.weight", 0, 1),
)
_JOINT: tuple[Anchor, ...] = (
    (r"layer\.\d+\.conv[12]\.weight", 1, 1),
    (r"(theta|phi)\.weight", 1, 1),
)
_EMBED: tuple[Anchor, ...] = ((r"(theta|phi)\.(weight|bias)", 0, 1),)


@dataclass
class Architecture:
    """What was inferred: settings by part, and what could not be."""

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)


def infer(networks: Mapping[str, Shapes], prefer: Mapping[str, Any]) -> Architecture:
    """Settings of all parts from the shapes of the released networks.

    Args:
        networks: {`generator`, `alignment` and, if at hand, `discriminator`: {key: shape}}.
        prefer: settings of the correspondence to keep where the shapes leave a choice.

    Returns:
        Settings for `condition_encoder`, `image_encoder`, `correspondence`, `generator` and
        `discriminator`; the condition channels that each file tells; problems by file.
    """
    found = Architecture()

    def read(network: str, what: str, shapes: Shapes, anchors: tuple[Anchor, ...]) -> int:
        value = _vote(shapes, anchors)
        if value is None:
            keys = ", ".join(re.sub(r"\\|\(\.\*\\\.\)\?", "", anchor[0]) for anchor in anchors)
            found.problems.setdefault(network, []).append(
                f"{what} cannot be read: no usable tensor among {keys}"
            )
        return value or 1

    shapes = networks["generator"]
    context = read(
        "generator", "the condition's channels", shapes, (*_CONTEXT, ("fc.weight", 1, 1))
    )
    found.channels["generator"] = context - 3
    found.settings["generator"] = {
        "base_width": read("generator", "the base width", shapes, _GENERATOR_WIDTH),
        "spade_hidden": read("generator", "SPADE's hidden width", shapes, _HIDDEN),
        "kernel": read("generator", "SPADE's kernel", shapes, _KERNEL),
        "attention": _has(shapes, r"attn\."),
        **_norm(shapes),
    }
    alignment = networks["alignment"]
    for part, prefix in (("condition_encoder", "seg"), ("image_encoder", "img")):
        name = f"adaptive_model_{prefix}"
        shapes = {k.removeprefix(f"{name}."): v for k, v in alignment.items() if k.startswith(name)}
        kernel = read("alignment", f"the stride kernel of {name}", shapes, _STRIDE_KERNEL)
        fourth = shapes.get("layer4.0.weight_orig", ())
        found.settings[part] = {
            "base_width": read("alignment", f"the base width of {name}", shapes, _ENCODER_WIDTH),
            "out_channels": read("alignment", f"the output of {name}", shapes, _ENCODER_OUT),
            "spade_hidden": read("alignment", f"SPADE's hidden width of {name}", shapes, _HIDDEN),
            "spade_kernel": read("alignment", f"SPADE's kernel of {name}", shapes, _KERNEL),
            "stride_kernel": kernel,
            # a convolution without stride has a 3x3 kernel, whatever the strided ones have
            "second_stride": 1 if kernel == 4 and fourth[2:] == (3, 3) else 2,
            "non_local": _has(shapes, r"attn\."),
            "squeeze_excitation": _has(shapes, r".*\.se_layar\."),
            "extra_blocks": _has(shapes, r"deeper\d\."),
            "dilated": _has(shapes, r"degridding\d\."),
            **_norm(shapes),
        }
        if part == "condition_encoder":
            first = ((r"layer1\.0\.weight_orig", 1, 1),)
            found.channels["alignment"] = read(
                "alignment", "the condition's channels", shapes, (*_CONTEXT, *first)
            )
    features = found.settings["condition_encoder"]["out_channels"]
    width = read("alignment", "the width of the correspondence", alignment, _JOINT)
    found.settings["correspondence"] = {
        "embed": read("alignment", "the width of theta and phi", alignment, _EMBED),
        **_appended(width - features, found.channels["alignment"], prefer),
    }
    if "discriminator" in networks:
        shapes = networks["discriminator"]
        found.settings["discriminator"] = _discriminator(shapes, read)
        inputs = ((r"discriminator_\d+\.model0\.0\.weight", 1, 1),)
        channels = read("discriminator", "the condition's channels", shapes, inputs) - 3
        found.channels["discriminator"] = channels
    return found


def _discriminator(shapes: Shapes, read: Any) -> dict[str, Any]:
    scales = [int(m[1]) for k in shapes if (m := re.match(r"discriminator_(\d+)\.", k))]
    depths = [int(m[1]) for k in shapes if (m := re.match(r"discriminator_\d+\.model(\d+)\.", k))]
    layers = max(depths, default=4)
    first = (r"discriminator_\d+\.model0\.0\.(weight|bias)", 0, 1)
    second = (r"discriminator_\d+\.model1\.0\.0\.weight_orig", 0, 2)
    base = read("discriminator", "the base width", shapes, (first, second))
    deepest = ((rf"discriminator_\d+\.model{layers - 1}\.0\.0\.weight_orig", 0, 1),)
    widest = _vote(shapes, deepest) or base
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
