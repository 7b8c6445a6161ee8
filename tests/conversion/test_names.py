import csv

import pytest

from mcltoolkit.conversion import NETWORKS, to_ours, to_theirs
from mcltoolkit.conversion.names import UNUSED


@pytest.mark.parametrize(
    ("network", "theirs", "ours"),
    [
        ("generator", "fc.weight", "translator.generator.first.weight"),
        (
            "generator",
            "up_3.conv_s.weight_orig",
            "translator.generator.stages.up_3.conv_s.parametrizations.weight.original",
        ),
        ("generator", "attn.gamma", "translator.generator.stages.attention.gain"),
        (
            "alignment",
            "adaptive_model_img.layer4.0.weight_u",
            "translator.image_encoder.stages.3.0.parametrizations.weight.0._u",
        ),
        (
            "alignment",
            "adaptive_model_seg.G_middle_1.norm_s.mlp_shared.1.bias",
            "translator.condition_encoder.blocks.2.norm_s.shared.bias",
        ),
        ("alignment", "layer.2.prelu.weight", "translator.correspondence.layer.2.prelu.weight"),
        (
            "discriminator",
            "discriminator_1.model2.0.0.weight_v",
            "discriminator.scales.1.stages.2.0.parametrizations.weight.0._v",
        ),
        ("discriminator", "discriminator_0.model4.0.bias", "discriminator.scales.0.stages.4.bias"),
    ],
)
def test_names_go_both_ways(network, theirs, ours):
    assert to_ours(network, theirs) == ours
    assert to_theirs(ours) == (network, theirs)


@pytest.mark.parametrize("key", ["fc.weigth", "up_3", "head_0.conv_2.bias", "xfc.weight", ""])
def test_other_names_are_unknown(key):
    assert to_ours("generator", key) is None
    assert to_theirs(f"translator.generator.{key}") is None


@pytest.mark.parametrize("task", ["ade20k", "celebahqedge", "deepfashion"])
def test_every_released_name_has_one_of_ours(reference_names, task):
    files = {"generator": "G", "alignment": "Corr", "discriminator": "D"}
    assert files.keys() == NETWORKS.keys()
    seen = set()
    for network, label in files.items():
        with open(reference_names / f"{task}_{label}.tsv") as file:
            keys = [row["key"] for row in csv.DictReader(file, delimiter="\t")]
        assert len(keys) > 50
        for key in keys:
            ours = to_ours(network, key)
            assert (ours is None) == bool(UNUSED.match(key)), key
            if ours is not None:
                assert ours not in seen
                seen.add(ours)
                assert to_theirs(ours) == (network, key)
