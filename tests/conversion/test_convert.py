import csv
import re
from collections import OrderedDict

import pytest
import torch

from mcltoolkit.conversion import RECIPES, summary, to_cocosnet, to_toolkit
from mcltoolkit.errors import ConfigError, WeightsError

LABELS = {"generator": "G", "alignment": "Corr", "discriminator": "D"}


@pytest.fixture
def states(cocosnet):
    return cocosnet.make(**cocosnet.TASKS["celebahqedge"])


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key].dtype == value.dtype, key
        assert torch.equal(ours[key], value), key


@pytest.mark.parametrize("task", RECIPES)
def test_round_trip_is_bit_identical(cocosnet, task):
    states = cocosnet.make(**cocosnet.TASKS[task], batch_norm=True, gate=True)
    checkpoint = to_toolkit(task, **states, allow_other_architecture=True)
    back, left_out = to_cocosnet(checkpoint)
    assert left_out == []
    assert back.keys() == set(LABELS.values())
    for network, label in LABELS.items():
        same(back[label], states[network])


@pytest.mark.parametrize("task", ["ade20k", "celebahqedge", "deepfashion"])
def test_round_trip_with_the_released_names_and_shapes_at_full_size(reference_names, task):
    """Every tensor is one number of its own, expanded: no exchange can go unnoticed."""
    states, number = {}, 0
    for network, label in LABELS.items():
        states[network] = {}
        with open(reference_names / f"{task}_{label}.tsv") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                sides = row["shape"].split("x") if row["shape"] != "scalar" else []
                value = torch.tensor(number, dtype=getattr(torch, row["dtype"]))
                states[network][row["key"]] = value.expand([int(side) for side in sides])
                number += 1
    checkpoint = to_toolkit(task, **states)
    assert checkpoint["config"]["model"]["condition_channels"] == RECIPES[task].channels
    assert checkpoint["config"]["model"]["generator"]["base_width"] == 64
    kernel = checkpoint["config"]["model"]["image_encoder"]["stride_kernel"]
    assert kernel == (3 if task == "ade20k" else 4)
    back, _ = to_cocosnet(checkpoint)
    for network, label in LABELS.items():
        assert back[label].keys() == states[network].keys()
        for key, value in states[network].items():
            found = back[label][key]
            assert (found.shape, found.dtype) == (value.shape, value.dtype), key
            assert found.flatten()[0] == value.flatten()[0], key


def test_format_versions_come_back(states):
    versions = {"": {"version": 1}, "head_0.conv_0": {"spectral_norm": {"weight.version": 1}}}
    states["generator"] = OrderedDict(states["generator"])
    states["generator"]._metadata = OrderedDict(versions)
    back, _ = to_cocosnet(to_toolkit("celebahqedge", **states))
    assert back["G"]._metadata == versions
    assert not hasattr(back["Corr"], "_metadata")


def test_the_decoder_travels_beside_the_model(states):
    checkpoint = to_toolkit("celebahqedge", **states)
    assert not any(".dec." in key for key in checkpoint["state_dict"])
    unused = {k for k in states["discriminator"] if ".dec." in k}
    assert checkpoint["cocosnet"]["unused"].keys() == unused
    assert len(unused) == 22


def test_without_a_discriminator(states):
    del states["discriminator"]
    checkpoint = to_toolkit("celebahqedge", **states)
    assert checkpoint["absent"] == ["discriminator"]
    assert not any(key.startswith("discriminator") for key in checkpoint["state_dict"])
    assert to_cocosnet(checkpoint)[0].keys() == {"G", "Corr"}


def test_averages_are_kept_and_come_back(cocosnet, states):
    average = cocosnet.make(**cocosnet.TASKS["celebahqedge"], seed=9)
    del average["discriminator"]
    checkpoint = to_toolkit("celebahqedge", **states, average=average)
    assert checkpoint["ema_state_dict"]["n_averaged"] == 1
    trained = {k for k in checkpoint["state_dict"] if k.startswith("translator.")}
    names = {k.replace("translator", "module", 1) for k in trained}
    assert checkpoint["ema_state_dict"].keys() == {"n_averaged"} | names
    back, _ = to_cocosnet(checkpoint)
    same(back["G"], states["generator"])
    same(back["G_ema"], average["generator"])
    same(back["netCorr_ema"], average["alignment"])


def test_every_bad_key_is_listed_by_file(states):
    generator, alignment = states["generator"], states["alignment"]
    generator["head_0.extra.weight"] = torch.zeros(2, 3)
    del generator["up_2.norm_s.mlp_gamma.bias"]
    del alignment["layer.3.prelu.weight"]
    alignment["theta.weight"] = torch.zeros(5, 5, 1, 1)
    states["discriminator"]["discriminator_0.gap_fc.weight_orig"] = torch.zeros(1, 4)
    with pytest.raises(WeightsError) as caught:
        to_toolkit("celebahqedge", **states, files={"generator": "a_G.pth", "alignment": "b.pth"})
    message = str(caught.value)
    of_generator, rest = message.split("b.pth:")
    of_alignment, of_discriminator = rest.split("discriminator:")
    assert "a_G.pth:" in of_generator
    assert "unknown    head_0.extra.weight: 2x3" in of_generator
    assert "missing    up_2.norm_s.mlp_gamma.bias: 16" in of_generator
    assert "missing    layer.3.prelu.weight: 1" in of_alignment
    assert "misshapen  theta.weight: 5x5x1x1 found, 8x21x1x1 expected" in of_alignment
    assert "unknown    discriminator_0.gap_fc.weight_orig: 1x4" in of_discriminator
    assert message.count("missing") == 2
    assert message.count("unknown") == 2
    assert message.count("misshapen") == 1


def test_a_single_missing_tensor_is_found_wherever_it_is(states):
    for network in ("generator", "alignment"):
        for key in list(states[network])[::29]:
            fewer = {**states, network: {k: v for k, v in states[network].items() if k != key}}
            with pytest.raises(WeightsError, match=rf"missing    {key}:"):
                to_toolkit("celebahqedge", **fewer)


def listed_missing(caught):
    return set(re.findall(r"missing    (\S+):", str(caught.value)))


@pytest.mark.parametrize(
    ("network", "block"),
    [
        ("alignment", r"(theta|phi)\."),
        ("alignment", r"adaptive_model_img\.G_middle_1\."),
        ("alignment", r"adaptive_model_seg\.layer"),
        ("alignment", r"layer\.\d\."),
        ("alignment", r".*mlp_shared"),
        ("generator", r".*"),
        ("generator", r"attn\."),
        ("generator", r"(conv_img|up_|head_0|G_middle|fc)"),
        ("discriminator", r"discriminator_1\.(?!dec)"),
        ("discriminator", r"discriminator_\d\.attn"),
        ("discriminator", r"discriminator_\d\.model[01]"),
    ],
)
def test_every_key_of_a_missing_block_is_listed(states, network, block):
    lost = {key for key in states[network] if re.match(block, key) and ".dec." not in key}
    assert len(lost) > 3
    left = {k: v for k, v in states[network].items() if k not in lost}
    with pytest.raises(WeightsError) as caught:
        to_toolkit("celebahqedge", **{**states, network: left})
    assert listed_missing(caught) == lost
    assert not set("\\|?(") & set(str(caught.value).split("\nGive whole")[0])


DEPARTURES = [
    ({"attention": False}, "generator.attention False, released True"),
    ({"attention": False}, "discriminator.attention False, released True"),
    ({"scales": 1}, "discriminator.scales 1, released 2"),
    ({"scales": 3}, "discriminator.scales 3, released 2"),
    ({"coordinates": True}, "correspondence.coordinates True, released False"),
    ({"mask_mix": False}, "correspondence.mask_mix False, released True"),
    ({"non_local": True}, "image_encoder.non_local True, released False"),
    ({"gate": True}, "image_encoder.squeeze_excitation True, released False"),
    ({"deeper": True}, "image_encoder.extra_blocks True, released False"),
    ({"batch_norm": True}, "generator.spade_norm syncbn, released pono"),
]


@pytest.mark.parametrize(("task", "kernel"), [("ade20k", 4), ("celebahq", 3)])
def test_kernels_are_free_like_widths(cocosnet, task, kernel):
    states = cocosnet.make(**{**cocosnet.TASKS[task], "kernel": kernel})
    model = to_toolkit(task, **states)["config"]["model"]
    encoders = (model["condition_encoder"], model["image_encoder"])
    assert {encoder["stride_kernel"] for encoder in encoders} == {kernel}


@pytest.mark.parametrize(("changed", "words"), DEPARTURES)
def test_another_architecture_only_when_asked_for(cocosnet, changed, words):
    states = cocosnet.make(**{**cocosnet.TASKS["celebahq"], **changed})
    with pytest.raises(WeightsError) as caught:
        to_toolkit("celebahq", **states)
    assert f"differs from the released celebahq: {words}" in str(caught.value)
    assert str(caught.value).endswith("give --allow-other-architecture.")
    checkpoint = to_toolkit("celebahq", **states, allow_other_architecture=True)
    assert f"differs from the released celebahq: {words}" in checkpoint["meta"]["departures"]
    assert f"differs from the released celebahq: {words}" in summary(checkpoint)


@pytest.mark.parametrize("task", RECIPES)
def test_other_widths_need_not_be_asked_for(cocosnet, task):
    options = {**cocosnet.TASKS[task], "base": 6, "hidden": 5, "embed": 7}
    checkpoint = to_toolkit(task, **cocosnet.make(**options))
    assert checkpoint["meta"]["departures"] == []


def test_tensors_that_are_no_finite_floats_are_listed(states):
    generator, alignment = states["generator"], states["alignment"]
    generator["fc.bias"] = generator["fc.bias"].long()
    alignment["theta.bias"][1:3] = torch.tensor([float("nan"), float("inf")])
    average = {"alignment": dict(alignment), "generator": dict(generator)}
    average["alignment"]["theta.bias"] = torch.zeros_like(alignment["theta.bias"])
    average["generator"]["fc.bias"] = torch.full_like(generator["conv_img.bias"], 1).bool()
    with pytest.raises(WeightsError) as caught:
        to_toolkit("celebahqedge", **states, average=average)
    message = str(caught.value)
    of_generator, rest = message.split("alignment:", 1)
    of_alignment, of_average = rest.split("average generator:")
    assert "not floating  fc.bias: int64" in of_generator
    assert f"not finite  theta.bias: 2 of {len(alignment['theta.bias'])} values" in of_alignment
    assert "not floating  fc.bias: bool" in of_average
    assert message.count("not finite") == 1


def test_a_counter_stays_whole(cocosnet):
    states = cocosnet.make(**cocosnet.TASKS["celebahq"], batch_norm=True)
    key = next(k for k in states["generator"] if k.endswith("num_batches_tracked"))
    states["generator"][key] = states["generator"][key].float()
    with pytest.raises(WeightsError, match=f"not whole  {key}: float32"):
        to_toolkit("celebahq", **states, allow_other_architecture=True)


def test_exchanged_files_are_recognised(states):
    with pytest.raises(WeightsError, match="keys of the alignment, not of the generator"):
        to_toolkit("celebahqedge", states["alignment"], states["alignment"])


def test_files_of_different_trainings(cocosnet, states):
    other = cocosnet.make(**cocosnet.TASKS["ade20k"])
    with pytest.raises(WeightsError, match="generator: 5, alignment: 7"):
        to_toolkit("celebahqedge", states["generator"], other["alignment"])


def test_an_unknown_task(states):
    with pytest.raises(ConfigError, match="'celebahqedges' is unknown; did you mean 'celebahqe"):
        to_toolkit("celebahqedges", **states)


def test_what_cocosnet_has_not_stays_here(states):
    checkpoint = to_toolkit("celebahqedge", **states)
    checkpoint["state_dict"]["losses.terms.mcl.head.weight"] = torch.zeros(1)
    assert to_cocosnet(checkpoint)[1] == ["losses.terms.mcl.head.weight"]
    checkpoint["state_dict"]["translator.self_correlation.mlp.0.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=r"no place for 1 tensors(.|\n)*self_correlation.mlp.0"):
        to_cocosnet(checkpoint)


def test_a_network_of_another_build_is_refused(states):
    checkpoint = to_toolkit("celebahqedge", **states)
    for key in [k for k in checkpoint["state_dict"] if ".stages.up_3." in k]:
        del checkpoint["state_dict"][key]
    with pytest.raises(WeightsError, match=r"missing    up_3\.conv_0\.bias"):
        to_cocosnet(checkpoint)
