from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torchvision.models import VGG19_Weights
from torchvision.models.vgg import make_layers

from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.losses import VGG19Features, vgg

DIVISOR = 16
NARROW = [
    c if c == "M" else c // DIVISOR
    for c in (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4)
]
IMAGENET = (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))


@pytest.fixture
def reference():
    """torchvision's own VGG-19 layers, narrow, without in-place writing."""
    torch.manual_seed(0)
    layers = make_layers(NARROW)
    for module in layers:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return layers.requires_grad_(False)


@pytest.fixture
def files(reference, tmp_path):
    """The same weights under torchvision's keys and under the released file's."""
    state = {f"features.{k}": v for k, v in reference.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2)}, tmp_path / "torchvision.pth")
    convolutions = [m for m in reference if isinstance(m, nn.Conv2d)]
    names = [f"conv{b}_{i}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 4))
             for i in range(1, n + 1)]  # fmt: skip
    released = {}
    for name, convolution in zip(names, convolutions, strict=True):
        released[f"{name}.weight"] = convolution.weight
        released[f"{name}.bias"] = convolution.bias
    torch.save(released, tmp_path / "released.pth")
    return tmp_path


def relus(reference, x):
    """Every ReLU output in order."""
    found = []
    for module in reference:
        x = module(x)
        if isinstance(module, nn.ReLU):
            found.append(x)
    return found


def test_every_layer_of_torchvisions_network(reference, files):
    image = torch.rand(2, 3, 32, 48) * 2 - 1
    network = VGG19Features(vgg.LAYERS, files / "torchvision.pth", width_divisor=DIVISOR)
    mean, std = (v.view(3, 1, 1) for v in IMAGENET)
    expected = relus(reference, ((image + 1) / 2 - mean) / std)
    found = network(image)
    assert list(found) == list(vgg.LAYERS)
    for layer, value in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(layer, value)


def test_released_file_brings_its_own_preprocessing(reference, files):
    image = torch.rand(1, 3, 16, 16) * 2 - 1
    network = VGG19Features(["relu3_2"], str(files / "released.pth"), width_divisor=DIVISOR)
    assert network.preprocess == "caffe"
    pixels = (image + 1) / 2 * 255
    blue, green, red = pixels[:, 2] - 103.939, pixels[:, 1] - 116.779, pixels[:, 0] - 123.68
    expected = relus(reference, torch.stack([blue, green, red], 1))
    torch.testing.assert_close(network(image)["relu3_2"], expected[5], rtol=1e-4, atol=1e-4)
    # To the last bit: the released eight digits, and its order of operations.
    mean = torch.tensor([0.40760392, 0.45795686, 0.48501961]).view(1, 3, 1, 1)
    x = (((image + 1) / 2)[:, [2, 1, 0]] - mean) * 255
    first = VGG19Features(["relu1_1"], files / "released.pth", width_divisor=DIVISOR)
    assert torch.equal(first(image)["relu1_1"], relus(reference[:2], x)[0])
    explicit = VGG19Features(
        ["relu3_2"], files / "released.pth", preprocess="torchvision", width_divisor=DIVISOR
    )
    assert explicit.preprocess == "torchvision"


def test_stops_at_the_deepest_layer_and_is_frozen_but_differentiable(files):
    network = VGG19Features(
        ["relu2_1", "relu1_2"], files / "torchvision.pth", width_divisor=DIVISOR
    )
    assert len(network.convolutions) == 3
    assert not any(p.requires_grad for p in network.parameters())
    image = torch.rand(1, 3, 8, 8, requires_grad=True)
    found = network(image)
    assert list(found) == ["relu1_2", "relu2_1"]
    found["relu2_1"].sum().backward()
    assert image.grad.abs().sum() > 0


def test_float32_under_autocast(files):
    network = VGG19Features(["relu3_1"], files / "torchvision.pth", width_divisor=DIVISOR)
    image = torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = network(image)["relu3_1"]
    assert torch.equal(got, network(image)["relu3_1"])


def test_random_weights_are_seeded_leave_the_generator_alone_and_warn(monkeypatch):
    messages = []
    monkeypatch.setattr(vgg, "print_log", lambda m, logger, level: messages.append((m, level)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (
        VGG19Features(["relu5_4"], "random", width_divisor=8, seed=s) for s in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(first(image)["relu5_4"], second(image)["relu5_4"])
    assert not torch.equal(first(image)["relu5_4"], other(image)["relu5_4"])
    assert 0.01 < first(image)["relu5_4"].std() < 100
    assert len(messages) == 3
    assert messages[0][1] == logging.WARNING
    assert "trials only" in messages[0][0]


def test_torchvision_weights_come_from_torchvision(monkeypatch, files):
    narrow = torch.load(files / "torchvision.pth", weights_only=True)
    full = {
        "features.0.weight": torch.randn(64, 3, 3, 3),
        "features.0.bias": torch.randn(64),
    }
    monkeypatch.setattr(VGG19_Weights, "get_state_dict", lambda self, **kw: full)
    network = VGG19Features(["relu1_1"], "torchvision")
    assert torch.equal(network.convolutions["conv1_1"].weight, full["features.0.weight"])
    with pytest.raises(ConfigError, match="width_divisor is 8"):
        VGG19Features(["relu1_1"], "torchvision", width_divisor=8)
    monkeypatch.setattr(VGG19_Weights, "get_state_dict", lambda self, **kw: narrow)
    with pytest.raises(WeightsError, match=r"torchvision.*shape"):
        VGG19Features(["relu1_1"], "torchvision")

    def offline(self, **settings):
        raise OSError("no route to host")

    monkeypatch.setattr(VGG19_Weights, "get_state_dict", offline)
    with pytest.raises(WeightsError, match=r"no route to host.*--vgg-weights"):
        VGG19Features(["relu1_1"], "torchvision")


def test_no_weights_names_the_settings():
    with pytest.raises(WeightsError, match=r"model\.vgg\.weights.*--vgg-weights PATH"):
        VGG19Features(["relu1_1"])


def test_missing_truncated_and_foreign_files_are_named(files, tmp_path):
    def load(name, **settings):
        return VGG19Features(["relu1_2"], tmp_path / name, **settings)

    with pytest.raises(WeightsError, match=r"absent\.pth .*does not exist.*--vgg-weights"):
        load("absent.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        load(".")
    whole = (tmp_path / "torchvision.pth").read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 50):
        (tmp_path / "cut.pth").write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=rf"cut\.pth \({size} bytes\).*truncated"):
            load("cut.pth", width_divisor=DIVISOR)
    torch.save({"layer1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(
        WeightsError, match=r"resnet\.pth.*layer1\.weight; expected features\.0\.bias.*conv1_1"
    ):
        load("resnet.pth")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "checkpoint.pth")
    with pytest.raises(WeightsError, match=r"epoch, state_dict; expected a state dict"):
        load("checkpoint.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="hold list"):
        load("list.pth")
    with pytest.raises(WeightsError, match=r"features\.0\.weight has shape \(4, 3, 3, 3\)"):
        load("torchvision.pth")


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_file_cannot_run_code(tmp_path, capsys):
    torch.save({"conv1_1.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth"):
        VGG19Features(["relu1_1"], tmp_path / "evil.pth")
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": ["relu4_5"]}, r"'relu4_5'; did you mean .*relu4_4"),
        ({"layers": []}, "layers is empty"),
        ({"preprocess": "keras"}, "preprocess is 'keras'"),
        ({"width_divisor": 3}, "width_divisor is 3"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        VGG19Features(**{"layers": ["relu1_1"], "weights": "random", **settings})


def test_an_image_too_small_is_explained():
    network = VGG19Features(["relu3_1"], "random", width_divisor=64)
    network(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ConfigError, match=r"2x8 is too small.*relu3_1.*4x4"):
        network(torch.zeros(1, 3, 2, 8))
