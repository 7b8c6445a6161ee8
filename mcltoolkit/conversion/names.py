"""Parameter names of the released CoCosNet and of this toolkit, as one table that reads both ways.

A key is a module's name and a leaf. `NETWORKS` pairs the modules of the three released files with
ours, `LEAVES` the leaves: among them the old form of spectral norm, whose three tensors are those
of torch's parametrization under other names. `{i}` and `{j}` stand for numbers, the same on both
sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

Table = Mapping[str, str]

LEAVES: Table = {
    "weight": "weight",
    "bias": "bias",
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0._u",
    "weight_v": "parametrizations.weight.0._v",
    "gamma": "gain",
    "running_mean": "running_mean",
    "running_var": "running_var",
    "num_batches_tracked": "num_batches_tracked",
}


def _inside(theirs: str, ours: str, table: Table) -> dict[str, str]:
    """`table` one level deeper, below `theirs` and `ours`; a part's own leaves have no module."""
    return {f"{theirs}.{a}".rstrip("."): f"{ours}.{b}".rstrip(".") for a, b in table.items()}


SPADE: Table = {
    "mlp_shared.1": "shared",
    "mlp_gamma": "gamma",
    "mlp_beta": "beta",
    "param_free_norm": "norm",
}
BLOCK: Table = {
    "conv_0": "conv_0",
    "conv_1": "conv_1",
    "conv_s": "conv_s",
    "se_layar.fc.0": "gate.reduce",
    "se_layar.fc.2": "gate.expand",
    **_inside("norm_0", "norm_0", SPADE),
    **_inside("norm_1", "norm_1", SPADE),
    **_inside("norm_s", "norm_s", SPADE),
}
ATTENTION: Table = {"": "", "theta": "query", "phi": "key", "g": "value", "o": "out"}
ENCODER: Table = {
    **{f"layer{i + 1}.0": f"stages.{i}.0" for i in range(5)},
    **_inside("head_0", "blocks.0", BLOCK),
    **_inside("attn", "attention", ATTENTION),
    **_inside("G_middle_0", "blocks.1", BLOCK),
    **_inside("G_middle_1", "blocks.2", BLOCK),
    **_inside("deeper{i}", "extra_blocks.{i}", BLOCK),
    "degridding{i}.0": "degridding.{i}.0",
}
ALIGNMENT: Table = {
    **_inside("adaptive_model_seg", "translator.condition_encoder", ENCODER),
    **_inside("adaptive_model_img", "translator.image_encoder", ENCODER),
    **_inside(
        "layer.{i}",
        "translator.correspondence.layer.{i}",
        {"conv1": "conv1", "conv2": "conv2", "prelu": "prelu"},
    ),
    "theta": "translator.correspondence.theta",
    "phi": "translator.correspondence.phi",
}
GENERATOR: Table = {
    "fc": "translator.generator.first",
    **_inside("head_0", "translator.generator.stages.head", BLOCK),
    **_inside("G_middle_{i}", "translator.generator.stages.middle_{i}", BLOCK),
    **_inside("up_{i}", "translator.generator.stages.up_{i}", BLOCK),
    **_inside("attn", "translator.generator.stages.attention", ATTENTION),
    "conv_img": "translator.generator.last",
}
DISCRIMINATOR: Table = {
    **_inside("discriminator_{i}.attn", "discriminator.scales.{i}.attention", ATTENTION),
    "discriminator_{i}.model{j}.0.0": "discriminator.scales.{i}.stages.{j}.0",
    "discriminator_{i}.model{j}.0": "discriminator.scales.{i}.stages.{j}",
}
NETWORKS: Mapping[str, Table] = {
    "generator": GENERATOR,
    "alignment": ALIGNMENT,
    "discriminator": DISCRIMINATOR,
}

# Each scale of the released discriminator holds a decoder that no forward pass uses.
UNUSED = re.compile(r"discriminator_\d+\.dec\.")


def to_ours(network: str, key: str) -> str | None:
    """Our name of a key of the released `network` (a key of `NETWORKS`), or None."""
    module, _, leaf = key.rpartition(".")
    renamed = _renamed(network, module, True)
    return f"{renamed}.{LEAVES[leaf]}" if renamed and leaf in LEAVES else None


def to_theirs(key: str) -> tuple[str, str] | None:
    """The released network and name of one of our keys, or None."""
    for theirs, ours in LEAVES.items():
        if not key.endswith(f".{ours}"):
            continue
        module = key.removesuffix(f".{ours}")
        for network in NETWORKS:
            renamed = _renamed(network, module, False)
            if renamed:
                return network, f"{renamed}.{theirs}"
    return None


def _renamed(network: str, module: str, forth: bool) -> str | None:
    for pattern, template in _patterns(network, forth):
        if found := pattern.fullmatch(module):
            return template.format(**found.groupdict())
    return None


@cache
def _patterns(network: str, forth: bool) -> list[tuple[re.Pattern[str], str]]:
    pairs = NETWORKS[network].items()
    return [_compiled(*(pair if forth else pair[::-1])) for pair in pairs]


def _compiled(source: str, target: str) -> tuple[re.Pattern[str], str]:
    return re.compile(re.sub(r"\\{(\w)\\}", r"(?P<\1>\\d+)", re.escape(source))), target
