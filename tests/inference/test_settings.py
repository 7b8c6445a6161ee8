import pytest

from mcltoolkit.conversion.recipes import assemble_config, released_architecture
from mcltoolkit.data.face_masks import FaceMasks
from mcltoolkit.inference import inference_settings


def config(**dataset):
    return {"model": {"condition_channels": 6}, "test_dataloader": {"dataset": dataset}}


@pytest.mark.parametrize(
    ("dataset", "size"),
    [
        (dict(geometry=[dict(type="PILResize", height=64, width=96)]), (64, 96)),
        (
            dict(
                geometry=[
                    dict(type="PILResize", height=286, width=286),
                    dict(type="CenterCrop", height=256, width=256),
                    dict(type="HorizontalFlip", p=0.5),
                ]
            ),
            (256, 256),
        ),
        (dict(size=[32, 48]), (32, 48)),
        (dict(geometry=[dict(type="PILResize", short_side=64)]), None),
        ({}, None),
    ],
)
def test_size_of_the_test_pictures(dataset, size):
    assert inference_settings(config(**dataset), {})["size"] == size


def test_labels_where_the_data_set_has_as_many_classes_as_the_model_channels():
    for classes, kind in ((6, "labels"), (5, "maps"), (None, "maps")):
        meta = {"dataset_meta": {"num_classes": classes}} if classes else {}
        assert inference_settings(config(), meta)["condition"] == kind


def test_the_config_s_own_section_wins():
    given = {**config(size=(8, 8), label_map={255: 0}), "inference": {"size": (16, 16)}}
    found = inference_settings(given, {})
    assert found == {
        "size": (16, 16), "condition": "maps", "label_map": {255: 0}, "refused_labels": [],
    }  # fmt: skip


def test_labels_that_lie_over_others_are_named_by_the_data_set_or_the_recipe():
    model = {"model": {"condition_channels": 19}}
    found = inference_settings(model, {"dataset_meta": FaceMasks().metainfo})
    assert (found["condition"], found["refused_labels"]) == ("labels", [16])
    for task, channels, refused in (("celebahq", 19, [16]), ("ade20k", 151, [])):
        recipe = assemble_config(task, channels, released_architecture(task))
        assert inference_settings(recipe, {})["refused_labels"] == refused
