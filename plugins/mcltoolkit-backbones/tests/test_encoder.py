import pytest
import timm
import torch
from mcltoolkit_backbones import TimmEncoder
from timm.models import register_model

from mcltoolkit.errors import ConfigError

FAMILIES = {
    "test_resnet": {},
    "test_coatnet": {"img_size": (64, 96)},
    "test_vit3": {"img_size": "nearest"},
}


@pytest.mark.parametrize(
    ("name", "stride"),
    [*((name, 8) for name in FAMILIES), ("test_resnet", 2), ("test_resnet", 4)],
)
def test_the_grid_is_size_over_stride(name, stride):
    with torch.device("meta"):
        encoder = TimmEncoder(5, name, out_channels=12, stride=stride, **FAMILIES[name])
        out = encoder(torch.empty(2, 5, 64, 96))
    assert (encoder.stride, encoder.out_channels) == (stride, 12)
    assert out.shape == (2, 12, 64 // stride, 96 // stride)


def test_weights_that_no_map_reads_are_not_trained():
    @register_model
    def backbones_test_idle(pretrained=False, **options):
        model = timm.create_model("test_resnet", **options)
        model.layer1[0].idle = torch.nn.Linear(2, 2)
        return model

    encoder = TimmEncoder(3, "backbones_test_idle", out_channels=8)
    idle = [n for n, p in encoder.named_parameters() if not p.requires_grad]
    assert idle == [f"backbone.model.layer1.0.idle.{kind}" for kind in ("weight", "bias")]


def test_a_frozen_backbone_learns_nothing_and_the_decoder_does():
    encoder = TimmEncoder(3, "test_resnet", out_channels=8, frozen_backbone=True).train()
    before = {n: v.clone() for n, v in encoder.state_dict().items()}
    optimiser = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    x = torch.randn(2, 3, 64, 64, requires_grad=True)
    encoder(x).square().mean().backward()
    optimiser.step()
    assert x.grad.abs().sum() > 0  # frozen, not cut off
    assert all(p.grad is None for p in encoder.backbone.parameters())
    changed = {n for n, v in encoder.state_dict().items() if not torch.equal(v, before[n])}
    statistics = [n for n in before if "running" in n]
    assert len(statistics) > 4
    assert changed == {n for n in before if n.startswith("decoder.")}
    assert not any(m.training for m in encoder.backbone.modules())
    assert encoder.decoder.training


def test_a_trained_backbone_does_learn():
    encoder = TimmEncoder(3, "test_resnet", out_channels=8).train()
    before = {n: v.clone() for n, v in encoder.state_dict().items() if "running_mean" in n}
    encoder(torch.randn(2, 3, 64, 64))
    after = encoder.state_dict()
    assert all(not torch.equal(after[n], v) for n, v in before.items())


def test_colours_are_turned_into_what_the_weights_expect():
    encoder = TimmEncoder(3, "resnet10t", out_channels=8, layers=[1], normalise=True).eval()
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    colours = torch.rand(1, 3, 32, 32)
    encoder(colours * 2 - 1)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for channel in range(3):
        expected = (colours[:, channel] - mean[channel]) / std[channel]
        torch.testing.assert_close(seen[0][:, channel], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("channels", "weights", "does"), [(3, None, True), (5, None, False)])
def test_colours_are_turned_where_weights_expect_it(channels, weights, does):
    with torch.device("meta"):
        assert TimmEncoder(channels, "test_resnet", weights).normalise == does
        assert not TimmEncoder(channels, "test_resnet").normalise


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "resnet81"}, "'resnet81', which timm .* does not have; did you mean 'resnet"),
        ({"model": "hf-hub:some/thing"}, "does not have"),
        ({"model": "resnet18.no_such_tag"}, "cannot be built .*Invalid pretrained tag"),
        ({"model": "test_resnet", "layers": [7]}, r"layers is \[7\].*4: 96 channels at stride 32"),
        ({"model": "test_resnet", "layers": []}, r"layers is \[\]; test_resnet has the layers 0"),
        ({"model": "test_vit", "layers": ["a"]}, "has the layers 0 to 5"),
        ({"model": "test_resnet", "stride": 0}, "stride is 0; allowed is 1 or more"),
        ({"model": "test_resnet", "in_channels": 5, "normalise": True}, "True for 5 input chan"),
    ],
)
def test_settings_that_cannot_be(settings, told):
    with pytest.raises(ConfigError, match=told):
        TimmEncoder(**{"in_channels": 3, **settings})


def test_a_model_without_maps():
    @register_model
    def backbones_test_mapless(pretrained=False, features_only=False, **options):
        if features_only:
            raise RuntimeError("features_only not implemented for this model")
        raise AssertionError("unreachable")

    with pytest.raises(
        ConfigError, match="mapless' cannot be built for feature maps .*features_on"
    ):
        TimmEncoder(3, "backbones_test_mapless")


def test_layers_may_be_counted_from_the_end():
    with torch.device("meta"):
        assert TimmEncoder(3, "test_resnet", layers=[-1, 1, 4]).anatomy.layers == (1, 4)


def test_a_seed_fixes_the_weights():
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(TimmEncoder(3, "test_vit", out_channels=8).state_dict())
    assert all(torch.equal(made[1][n], v) for n, v in made[0].items())
