import csv
from collections import OrderedDict

import pytest
import torch

from mcltoolkit.conversion import RECIPES, to_cocosnet, to_toolkit
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
    checkpoint = to_toolkit(task, **states)
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
