from __future__ import annotations

import shutil
import subprocess

import pytest

from mcltoolkit.data.doctor import PRESETS, examine, parse_size, plan_of_folder, ready_config
from mcltoolkit.engine.config import load_config
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import DATASETS, MODELS


@pytest.fixture
def write(tmp_path, root):
    """Examines a folder and loads the config written for it."""

    def run(folder, preset="small", size=None, **arguments):
        chosen = PRESETS[preset]
        diagnosis, survey = examine(
            plan_of_folder(folder, **arguments),
            size=parse_size(size or str(chosen.short_side)),
            multiple=chosen.multiple,
        )
        assert diagnosis.errors == 0
        out = tmp_path / "own.py"
        out.write_text(ready_config(survey, chosen, out, root / "configs"))
        return load_config(out)

    return run


def test_the_small_config_fits_data_and_networks(clean_set, write):
    config = write(clean_set, ignore_label=3)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert len(dataset) == 6
    assert (dataset.num_classes, dataset.ignore_label) == (4, 3)
    assert dataset[0].truth.shape == (3, 64, 80)
    assert {len(record.exemplars) for record in dataset.records} == {2}
    held_out = DATASETS.build(config.test_dataloader.dataset)
    assert (held_out[0].name, held_out[0].exemplar_name) == ("x", "b")
    assert config.val_dataloader.dataset.split == "test"
    assert config.model.condition_channels == 4
    assert config.model.losses.mask.ignore_label == 3
    assert config.train_dataloader.batch_size == 4
    MODELS.build(config.model)


@pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("preset", ["small", "full"])
def test_the_file_is_formatted_as_the_repository_is(clean_set, write, tmp_path, root, preset):
    write(clean_set, preset)
    settings = str(root / "pyproject.toml")
    done = subprocess.run(
        ["ruff", "format", "--check", "--config", settings, str(tmp_path / "own.py")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_full_config_is_the_papers_size(clean_set, write):
    config = write(clean_set, "full")
    crop = config.train_dataloader.dataset.geometry[1]
    assert (crop.height, crop.width) == (256, 320)
    assert config.train_dataloader.dataset.geometry[0].height == 286
    assert config.train_dataloader.batch_size == 6, "no more than there are pictures"
    assert config.model.generator.base_width == 64
    assert config.model.losses.mask.weight == 100
    assert config.model.condition_channels == 4


def test_255_is_mapped_to_a_class_of_its_own(clean_set, write):
    config = write(clean_set, ignore_label=255)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    assert (dataset.num_classes, dataset.ignore_label) == (5, 4)
    assert dataset.source.label_map == {255: 4}
    assert dataset.classes[-1] == "unknown"


def test_foreign_names_without_lists(clean_set, write):
    other = clean_set.parent / "other"
    for old, new in (("training", "train"), ("test", "val")):
        shutil.copytree(clean_set / "images" / old, other / "img" / new)
        shutil.copytree(clean_set / "annotations" / old, other / "masks" / new)
    for path in other.glob("masks/*/*.png"):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    config = write(other)
    for name, count in (("train_dataloader", 6), ("val_dataloader", 3), ("test_dataloader", 3)):
        dataset = DATASETS.build(config[name].dataset)
        assert len(dataset) == count
        assert dataset[0].paired


def test_side_by_side_and_nothing_held_out(clean_set, write):
    flat = clean_set.parent / "flat"
    shutil.copytree(clean_set / "images" / "training", flat)
    shutil.copytree(clean_set / "annotations" / "training", flat, dirs_exist_ok=True)
    config = write(flat, num_classes=4)
    assert len(DATASETS.build(config.train_dataloader.dataset)) == 6
    assert config.val_dataloader is None
    assert config.test_evaluator is None


@pytest.mark.parametrize(
    ("size", "expected"), [("32", (32, 32)), ("48x96", (48, 96)), ("96", (96, 112))]
)
def test_sizes(clean_set, write, size, expected):
    crop = write(clean_set, size=size).train_dataloader.dataset.geometry[1]
    assert (crop.height, crop.width) == expected


@pytest.mark.parametrize(
    ("size", "words"),
    [("60", "multiples of 16, such as 64"), ("x", "--size is 'x'"), ("64x0", "--size is '64x0'")],
)
def test_sizes_that_do_not_suit(clean_set, write, size, words):
    with pytest.raises(ConfigError, match=words):
        write(clean_set, size=size)
