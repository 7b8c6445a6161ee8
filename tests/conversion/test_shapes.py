import pytest

from mcltoolkit.conversion import infer


def shapes_of(cocosnet, **options):
    states = cocosnet.make(**{**cocosnet.TASKS["celebahq"], **options})
    return {n: {k: tuple(v.shape) for k, v in s.items()} for n, s in states.items()}


def test_sizes_are_read_off(cocosnet):
    shapes = shapes_of(cocosnet, base=6, hidden=5, embed=7, scales=3)
    found = infer(shapes, {"mask_mix": True})
    assert found.assumed == {}
    assert found.channels == {"generator": 6, "alignment": 6, "discriminator": 6}
    assert found.settings["generator"] == {
        "base_width": 6,
        "spade_hidden": 5,
        "kernel": 3,
        "attention": True,
        "spade_norm": "pono",
    }
    encoder = found.settings["image_encoder"]
    assert encoder == found.settings["condition_encoder"]
    assert (encoder["base_width"], encoder["out_channels"], encoder["stride_kernel"]) == (6, 24, 4)
    assert found.settings["correspondence"] == {
        "embed": 7,
        "mask_mix": True,
        "coordinates": False,
    }
    discriminator = found.settings["discriminator"]
    assert discriminator == {"base_width": 6, "layers": 4, "scales": 3, "attention": True}


@pytest.mark.parametrize(
    ("option", "part", "setting", "value"),
    [
        ({"attention": False}, "generator", "attention", False),
        ({"batch_norm": True}, "generator", "spade_norm", "syncbn"),
        ({"non_local": True}, "image_encoder", "non_local", True),
        ({"gate": True}, "image_encoder", "squeeze_excitation", True),
        ({"deeper": True}, "image_encoder", "extra_blocks", True),
        ({"deeper": True, "dilated": True}, "image_encoder", "dilated", True),
        ({"kernel": 3}, "condition_encoder", "stride_kernel", 3),
        ({"mask_mix": False}, "correspondence", "mask_mix", False),
        ({"coordinates": True}, "correspondence", "coordinates", True),
    ],
)
def test_options_are_read_off(cocosnet, option, part, setting, value):
    default = infer(shapes_of(cocosnet), {"mask_mix": True}).settings[part][setting]
    assert default != value
    found = infer(shapes_of(cocosnet, **option), {"mask_mix": True})
    assert found.settings[part][setting] == value


@pytest.mark.parametrize("wished", [{"mask_mix": True}, {"coordinates": True}])
def test_three_condition_channels_leave_the_choice_to_the_task(cocosnet, wished):
    found = infer(shapes_of(cocosnet, channels=3), wished).settings["correspondence"]
    assert (found["mask_mix"], found["coordinates"]) == (
        "mask_mix" in wished,
        "coordinates" in wished,
    )


def test_the_fourth_layer_without_stride_has_a_kernel_of_three(cocosnet):
    shapes = shapes_of(cocosnet)
    for part in ("seg", "img"):
        key = f"adaptive_model_{part}.layer4.0.weight_orig"
        shapes["alignment"][key] = (*shapes["alignment"][key][:2], 3, 3)
    encoder = infer(shapes, {}).settings["image_encoder"]
    assert (encoder["stride_kernel"], encoder["second_stride"]) == (4, 1)


def test_a_wide_discriminator_stops_doubling(cocosnet):
    shapes = shapes_of(cocosnet)
    shapes["discriminator"] = {
        f"discriminator_0.model{i}.0{'.0.weight_orig' if 0 < i < 4 else '.weight'}": (o, c, 4, 4)
        for i, (c, o) in enumerate([(9, 128), (128, 256), (256, 512), (512, 512), (512, 1)])
    }
    settings = infer(shapes, {}).settings["discriminator"]
    assert (settings["base_width"], settings["max_width"]) == (128, 512)


@pytest.mark.parametrize("key", ["fc.weight", "conv_img.weight", "up_3.conv_0.weight_orig"])
def test_one_bad_tensor_is_outvoted(cocosnet, key):
    shapes = shapes_of(cocosnet)
    expected = infer(shapes, {"mask_mix": True})
    shapes["generator"][key] = (77, 99, 5, 5)
    assert infer(shapes, {"mask_mix": True}) == expected
    del shapes["generator"][key]
    assert infer(shapes, {"mask_mix": True}) == expected


def test_what_cannot_be_read_is_the_released_size(cocosnet):
    shapes = shapes_of(cocosnet)
    shapes["generator"] = {"something": (3,)}
    found = infer(shapes, {})
    assert list(found.assumed) == ["generator"]
    assert "unread     the condition's channels" in found.assumed["generator"]
    assert any("the base width; expected" in line for line in found.assumed["generator"])
    settings = found.settings["generator"]
    assert (settings["base_width"], settings["spade_hidden"], settings["kernel"]) == (64, 128, 3)


def test_the_task_tells_a_stride_kernel_that_cannot_be_read(cocosnet):
    shapes = shapes_of(cocosnet)
    for part in ("seg", "img"):
        for layer in (2, 4):
            del shapes["alignment"][f"adaptive_model_{part}.layer{layer}.0.weight_orig"]
    assert infer(shapes, {}).settings["image_encoder"]["stride_kernel"] == 4
    assert infer(shapes, {}, 3).settings["image_encoder"]["stride_kernel"] == 3
