"""Maps against timm's own ways to them, with the same weights."""

import pytest
import timm
import torch
from mcltoolkit_backbones import TimmEncoder

# one of each family: convolutional, hybrid, hierarchical transformer, plain transformers
STAGES = [
    ("test_resnet", {}, (64, 96)),
    ("test_convnext", {}, (64, 96)),
    ("test_efficientnet", {}, (64, 96)),
    ("test_coatnet", {"img_size": (64, 96)}, (64, 96)),
    ("mobilevit_xxs", {}, (64, 96)),
    ("test_mambaout", {}, (64, 96)),  # keeps channels last
]


def whole_model(encoder, name, **options):
    """timm's classifier of that name with the encoder's weights, as far as it has them."""
    model = timm.create_model(name, num_classes=0, in_chans=5, **options).eval()
    theirs = model.state_dict()
    ours = {}
    for key, value in encoder.backbone.state_dict().items():
        plain = key.removeprefix("model.")
        head, _, tail = plain.partition(".")
        stem, _, index = head.rpartition("_")
        ours[plain if plain in theirs else f"{stem}.{index}.{tail}"] = value
    model.load_state_dict(ours, strict=False)
    assert ours.keys() <= theirs.keys()
    return model


@pytest.mark.parametrize(("name", "options", "size"), STAGES)
def test_stages_are_what_timm_s_forward_intermediates_gives(name, options, size):
    encoder = TimmEncoder(5, name, out_channels=8, **options).eval()
    model = whole_model(encoder, name, **options)
    x = torch.randn(2, 5, *size)
    with torch.no_grad():
        maps = encoder.backbone(x)
        theirs = model.forward_intermediates(x, intermediates_only=True)
    strides = [size[0] // m.shape[-2] for m in maps]
    assert strides == list(encoder.anatomy.reductions) == [4, 8, 16, 32]
    for ours in maps:
        same = [t for t in theirs if t.shape == ours.shape]
        assert any(torch.allclose(ours, t, atol=1e-5) for t in same)


@pytest.mark.parametrize("name", ["test_vit", "test_vit3", "vit_tiny_patch16_dinov3_qkvb"])
@pytest.mark.parametrize("final_norm", [True, False])
def test_tokens_are_the_blocks_outputs_without_those_that_have_no_place(name, final_norm):
    """Hooks on the blocks of the whole model; tokens put in rows by a plain reshape."""
    layers = (1, 3)
    encoder = TimmEncoder(
        5, name, out_channels=8, layers=layers, img_size=(32, 48), final_norm=final_norm
    ).eval()
    model = whole_model(encoder, name, dynamic_img_size=True)
    seen = {}
    for layer in layers:
        model.blocks[layer].register_forward_hook(
            lambda _, __, out, layer=layer: seen.update({layer: out})
        )
    x = torch.randn(2, 5, 32, 48)
    with torch.no_grad():
        model(x)
        maps = encoder.backbone(x)
        for layer, ours in zip(layers, maps, strict=True):
            tokens = model.norm(seen[layer]) if final_norm else seen[layer]
            places = tokens[:, model.num_prefix_tokens :]
            assert places.shape[1] == 2 * 3
            expected = torch.stack([places[:, 3 * row : 3 * row + 3] for row in range(2)], 1)
            torch.testing.assert_close(ours, expected.permute(0, 3, 1, 2), atol=1e-5, rtol=1e-5)
    assert model.num_prefix_tokens == {"test_vit": 1, "test_vit3": 1}.get(name, 5)


def test_a_patch_s_content_comes_out_at_the_patch_s_place():
    """With blocks that pass everything through, the map is the patch embedding in image order."""
    encoder = TimmEncoder(1, "test_vit", layers=(0,), final_norm=False, out_channels=8).eval()
    model = encoder.backbone.model
    with torch.no_grad():
        model.pos_embed.zero_()
        for block in model.blocks:
            block.attn.proj.weight.zero_()
            block.attn.proj.bias.zero_()
            block.mlp.fc2.weight.zero_()
            block.mlp.fc2.bias.zero_()
        x = torch.zeros(1, 1, 48, 80)
        x[..., 16:32, 48:64] = 1  # the patch in row 1, column 3
        (tokens,) = encoder.backbone(x)
        patches = torch.nn.functional.unfold(x, 16, stride=16)[0].T  # row by row
        expected = patches @ model.patch_embed.proj.weight.flatten(1).T
        expected = expected + model.patch_embed.proj.bias
    torch.testing.assert_close(tokens[0].flatten(1).T, expected, atol=1e-6, rtol=1e-6)
    differs = (tokens[0] - tokens[0, :, :1, :1]).abs().sum(0) > 1e-6
    assert differs.nonzero().tolist() == [[1, 3]]


def test_positions_are_interpolated_as_timm_interpolates_them():
    encoder = TimmEncoder(3, "test_vit", layers=(0,), final_norm=False, out_channels=8).eval()
    model = encoder.backbone.model
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        encoder(x)
        resampled = timm.layers.resample_abs_pos_embed(
            model.pos_embed, new_size=[4, 6], old_size=[10, 10], num_prefix_tokens=1
        )
        patches = model.patch_embed.proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([model.cls_token, patches], 1) + resampled
    assert model.pos_embed.shape[1] == 1 + 10 * 10  # kept at the size of the pretrained weights
    torch.testing.assert_close(seen[0], tokens, atol=1e-6, rtol=1e-6)


def test_blocks_and_head_behind_the_last_map_are_gone():
    encoder = TimmEncoder(3, "test_vit", layers=(0, 2), out_channels=8)
    assert len(encoder.backbone.model.blocks) == 3
    assert not [n for n, _ in encoder.backbone.named_parameters() if "head" in n]


def test_swin_s_maps_have_channels_first():
    with torch.device("meta"):
        encoder = TimmEncoder(5, "swin_tiny_patch4_window7_224", out_channels=8)
        maps = encoder.backbone(torch.empty(1, 5, 64, 96))
        assert encoder(torch.empty(1, 5, 64, 96)).shape == (1, 8, 16, 24)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (96, 16, 24), (192, 8, 12), (384, 4, 6), (768, 2, 3)
    ]  # fmt: skip
