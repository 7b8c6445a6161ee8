from __future__ import annotations

import hashlib

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from mcltoolkit.data.retrieval import Backbone
from mcltoolkit.errors import ConfigError, WeightsError

TIMM, TORCHVISION = "test_resnet", "shufflenet_v2_x0_5"  # the smallest there are


@pytest.fixture(scope="module")
def timm_file(tmp_path_factory):
    """A classifier's weights with 7 classes, as someone's own training would write them."""
    torch.manual_seed(3)
    network = timm.create_model(TIMM, num_classes=7)
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_file(network.state_dict(), path)
    return network.eval(), path


def test_timm_features_are_those_of_the_network_before_its_classifier(timm_file, scene):
    network, path = timm_file
    backbone = Backbone(f"timm:{TIMM}", str(path), side=64)
    picture = scene(1)
    small = np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR)) / 255
    cfg = network.pretrained_cfg
    plain = torch.tensor((small - cfg["mean"]) / cfg["std"]).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        wanted = network.forward_head(network.forward_features(plain), pre_logits=True)
    found = backbone(backbone.prepare(picture)[None])
    assert found.shape == (1, network.num_features)
    assert found == pytest.approx(wanted.numpy(), rel=1e-4, abs=1e-5)


def test_facts_name_the_file_by_its_hash(timm_file):
    _, path = timm_file
    facts = Backbone(f"timm:{TIMM}", str(path), side=64).facts
    assert facts["weights sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts["weights"], facts["input"]) == ("own.safetensors", "64x64")


def test_a_torch_checkpoint_with_a_training_around_it(timm_file, tmp_path, scene):
    network, path = timm_file
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "c.pth")
    inputs = Backbone(f"timm:{TIMM}", str(path), 64).prepare(scene(0))[None]
    both = [Backbone(f"timm:{TIMM}", str(p), 64)(inputs) for p in (path, tmp_path / "c.pth")]
    assert (both[0] == both[1]).all()


def test_torchvision_features_are_what_the_last_layer_reads(tmp_path, scene):
    torch.manual_seed(0)
    network = torchvision.models.get_model(TORCHVISION, weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    backbone = Backbone(f"torchvision:{TORCHVISION}", str(tmp_path / "w.pth"), side=64)
    inputs = backbone.prepare(scene(2))[None]
    assert inputs.shape == (1, 3, 64, 64)
    with torch.no_grad():
        wanted = network(torch.from_numpy(inputs))
        found = network.fc(torch.from_numpy(backbone(inputs)))
    torch.testing.assert_close(found, wanted)


def test_torchvision_feature_maps_are_averaged(tmp_path, scene):
    torch.manual_seed(0)
    features = torchvision.models.get_model("squeezenet1_1", weights=None).eval().features
    # without the classifier: a file of the features alone is enough
    torch.save({f"features.{k}": v for k, v in features.state_dict().items()}, tmp_path / "w.pth")
    backbone = Backbone("torchvision:squeezenet1_1", str(tmp_path / "w.pth"), side=64)
    inputs = backbone.prepare(scene(2))[None]
    with torch.no_grad():
        wanted = features(torch.from_numpy(inputs)).mean((2, 3)).numpy()
    assert backbone(inputs) == pytest.approx(wanted, rel=1e-5)


def test_random_weights_are_said_and_always_the_same(scene, caplog):
    state = torch.get_rng_state()
    backbones = [Backbone(f"timm:{TIMM}", "random", side=64) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state), "no draw from the global generator"
    assert backbones[0].facts == backbones[1].facts
    inputs = backbones[0].prepare(scene(0))[None]
    assert (backbones[0](inputs) == backbones[1](inputs)).all()
    assert backbones[0].facts["weights"] == "random"


@pytest.mark.parametrize("weights", [None, ""])
def test_missing_weights_name_the_setting(weights):
    with pytest.raises(WeightsError, match=r"has no weights; give --weights FILE.*'random'"):
        Backbone(f"timm:{TIMM}", weights)


def test_files_that_do_not_fit(tmp_path, timm_file):
    spec = f"timm:{TIMM}"
    with pytest.raises(WeightsError, match=r"none\.pth is no file; give --weights"):
        Backbone(spec, str(tmp_path / "none.pth"))
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"\x00" * 50)
        with pytest.raises(WeightsError, match=rf"{name} \(50 bytes\) cannot be read"):
            Backbone(spec, str(tmp_path / name))
    torch.save(nn.Linear(2, 2), tmp_path / "code.pth")
    with pytest.raises(WeightsError, match=r"code\.pth .* cannot be read"):
        Backbone(spec, str(tmp_path / "code.pth"))
    state = timm_file[0].state_dict()
    key = next(iter(state))
    torch.save({**state, key: torch.zeros(1)}, tmp_path / "shape.pth")
    with pytest.raises(WeightsError, match=rf"1 of \d+ keys \({key} has shape \(1,\) in place of"):
        Backbone(spec, str(tmp_path / "shape.pth"))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"does not fit timm:.* is missing; "):
        Backbone(spec, str(tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("resnet50", r"'resnet50'; allowed are 'layout', 'timm:NAME'"),
        ("timm:", "allowed are 'layout'"),
        ("timm:resnet5o", r"no model 'resnet5o'; did you mean 'resnet50"),
        ("timm:hf-hub:someone/resnet50", "no model 'hf-hub:someone/resnet50'"),
        ("torchvision:vgg91", r"no classifier 'vgg91'; did you mean 'vgg1"),
    ],
)
def test_unknown_networks(spec, words):
    with pytest.raises(ConfigError, match=words):
        Backbone(spec, "random")


def test_an_input_that_the_network_does_not_take():
    with pytest.raises(ConfigError, match=r"does not take 100x100 images.*--input-size"):
        Backbone("timm:test_vit", "random", side=100)


def test_a_device_that_is_none():
    with pytest.raises(ConfigError, match="--device tpu9 cannot be used"):
        Backbone(f"timm:{TIMM}", "random", device="tpu9")
