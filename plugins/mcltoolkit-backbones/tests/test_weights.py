"""Files of weights: what goes in comes out, and what does not fit is told by name."""

import pytest
import timm
import torch
from mcltoolkit_backbones import TimmEncoder
from safetensors.torch import save_file

from mcltoolkit.errors import WeightsError

MODELS = ["test_resnet", "test_convnext", "test_efficientnet", "test_maxvit", "test_vit3"]
FAMILIES = [(name, ".safetensors") for name in MODELS]


def saved(model, path, **changes):
    state = {**model.state_dict(), **changes}
    state = {key: value for key, value in state.items() if value is not None}
    if path.suffix == ".safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    return str(path)


def seen_by(encoder, x):
    with torch.no_grad():
        return encoder.backbone(x)


@pytest.mark.parametrize(("name", "suffix"), [*FAMILIES, ("test_resnet", ".pth")])
def test_a_file_of_the_whole_model_gives_that_model_s_maps(name, suffix, tmp_path):
    size = {"dynamic_img_size": True} if "vit3" in name else {}
    source = timm.create_model(name, **size).eval()  # with its classifier
    for norm in source.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_()
    path = saved(source, tmp_path / f"whole{suffix}")
    encoder = TimmEncoder(3, name, path, normalise=False, out_channels=8).eval()
    size = encoder.anatomy.fixed_size or (64, 96)
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        theirs = source.forward_intermediates(
            x, norm=encoder.anatomy.plain, intermediates_only=True
        )
    for ours in seen_by(encoder, x):
        same = [t for t in theirs if t.shape == ours.shape]
        assert any(torch.allclose(ours, t, atol=1e-5) for t in same)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_other_input_channels_are_adapted_as_timm_adapts_its_own_weights(name, channels, tmp_path):
    path = saved(timm.create_model(name), tmp_path / "colours.pth")
    encoder = TimmEncoder(channels, name, path, out_channels=8, layers=[0])
    theirs = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay=dict(file=path), in_chans=channels
    )
    (first,) = encoder.anatomy.first_conv
    ours = encoder.backbone.get_submodule(f"model.{first}").weight
    torch.testing.assert_close(ours, theirs.get_submodule(first).weight, atol=0, rtol=0)


def test_dinov2_s_own_layout(tmp_path):
    """Registers under the authors' name, a class token's position alone, and a mask token."""
    name = "vit_small_patch14_reg4_dinov2"
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    state = {k: torch.randn(v.shape) * 0.02 for k, v in model.state_dict().items()}
    theirs = {**state, "mask_token": torch.zeros(1, 384)}
    theirs["register_tokens"] = theirs.pop("reg_token")
    theirs["pos_embed"] = torch.cat([torch.zeros(1, 1, 384), theirs["pos_embed"]], 1)
    torch.save(theirs, tmp_path / "authors.pth")
    encoder = TimmEncoder(3, name, tmp_path / "authors.pth", out_channels=8)
    ours = encoder.backbone.model.state_dict()
    assert torch.equal(ours["reg_token"], state["reg_token"])
    assert torch.equal(ours["pos_embed"], state["pos_embed"])
    assert torch.equal(ours["blocks.11.attn.qkv.weight"], state["blocks.11.attn.qkv.weight"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layer2.0.conv1.weight": None}, "1 of .* keys .layer2.0.conv1.weight is missing"),
        ({"layer9.weight": torch.zeros(2)}, "layer9.weight is unknown"),
        (
            {"bn1.bias": torch.zeros(7)},
            r"bn1.bias has shape \(7,\) in place of \(32,\)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_told_by_name(change, told, tmp_path):
    path = saved(timm.create_model("test_resnet"), tmp_path / "other.pth", **change)
    with pytest.raises(WeightsError, match=f"other.pth do not fit test_resnet: .*{told}"):
        TimmEncoder(3, "test_resnet", path)


def test_a_file_of_another_model(tmp_path):
    path = saved(timm.create_model("test_vit"), tmp_path / "vit.pth")
    with pytest.raises(WeightsError, match="do not fit test_resnet"):
        TimmEncoder(3, "test_resnet", path)


def test_weights_that_cannot_be_read(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"PK and no more")
    torch.save({"epoch": 3}, tmp_path / "no_state.pth")
    torch.save({"run": print}, tmp_path / "code.pth")  # never executed
    for name, told in [
        ("broken.pth", "broken.pth .14 bytes. cannot be read as a state dict"),
        ("no_state.pth", "it holds epoch, no state dict of tensors"),
        ("code.pth", "cannot be read as a state dict"),
    ]:
        with pytest.raises(WeightsError, match=told):
            TimmEncoder(3, "test_resnet", str(tmp_path / name))


def test_weights_must_be_chosen():
    with pytest.raises(WeightsError, match="test_resnet has no weights; set the encoder's `weig"):
        TimmEncoder(3, "test_resnet", None)


def test_a_download_that_fails_is_told(monkeypatch):
    create = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no network")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    encoder = TimmEncoder(3, "test_resnet", "timm")
    with pytest.raises(WeightsError, match="test_resnet cannot be had .OSError: no network.; allo"):
        encoder(torch.zeros(1, 3, 32, 32))


def test_a_checkpoint_makes_the_file_needless_and_nothing_else_does(tmp_path):
    trained = TimmEncoder(3, "test_resnet", normalise=True, out_channels=8).eval()
    there, absent = {"encoder." + k: v for k, v in trained.state_dict().items()}, tmp_path / "a.pth"
    elsewhere = torch.nn.ModuleDict({"encoder": TimmEncoder(3, "test_resnet", absent, 8)}).eval()
    x = torch.randn(1, 3, 32, 32)
    with pytest.raises(WeightsError, match="a.pth cannot be read: it does not exist"):
        elsewhere["encoder"](x)
    elsewhere.load_state_dict(there)
    assert torch.equal(elsewhere["encoder"](x), trained(x))


def test_shapes_alone_need_no_weights():
    with torch.device("meta"):
        for weights in (None, "no/such/file.pth", "timm"):
            assert TimmEncoder(3, "test_resnet", weights)(torch.empty(1, 3, 64, 64)).is_meta
