"""tools/retrieve_exemplars.py, its page of documentation, and the lists it makes."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from mcltoolkit.data import CelebAHQEdges, DeepFashion, FolderDataset, read_exemplar_list
from mcltoolkit.data.retrieval.options import add_options, output_path, retrieval_of
from mcltoolkit.errors import ToolkitError

pytestmark = pytest.mark.integration
TOOL = "tools/retrieve_exemplars.py"


@pytest.fixture
def data(tmp_path):
    """Two videos of four frames for training, one of two for testing, all of different scenes."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for split, names in {
        "training": [f"{video}_{frame}" for video in "ab" for frame in (1, 2, 3, 4)],
        "test": ["c_1", "c_2"],
    }.items():
        for kind in ("images", "annotations"):
            (root / kind / split).mkdir(parents=True)
        for name in names:
            labels = rng.integers(3, size=(4, 6), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            noise = rng.integers(255, size=(12, 16, 3), dtype=np.uint8)
            image = Image.fromarray(noise).resize((48, 32), Image.Resampling.BICUBIC)
            image.save(root / "images" / split / f"{name}.jpg")
            Image.fromarray(labels).save(root / "annotations" / split / f"{name}.png")
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    return root


@pytest.fixture
def photos(tmp_path):
    """CelebA-HQ and DeepFashion as the data sets read them: four photos to train on, two to
    validate, in one folder."""
    rng = np.random.default_rng(1)
    celeba, fashion = tmp_path / "celeba", tmp_path / "fashion"
    shots = [f"img/WOMEN/Tees/id_0000000{n}/01_1_front" for n in range(6)]
    names = {celeba: [f"CelebA-HQ-img/{n}" for n in (3, 14, 159, 2653, 58, 979)], fashion: shots}
    for root, places in names.items():
        for place in places:
            noise = Image.fromarray(rng.integers(255, size=(12, 16, 3), dtype=np.uint8))
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            noise.resize((32, 32), Image.Resampling.BICUBIC).save(root / f"{place}.jpg")
    masks = celeba / "CelebAMask-HQ-mask-anno"
    for number in (3, 14, 159, 2653, 58, 979):
        (masks / str(number // 2000)).mkdir(parents=True, exist_ok=True)
        skin = Image.fromarray(np.eye(32, dtype=np.uint8) * 255).convert("RGB")
        skin.save(masks / str(number // 2000) / f"{number:05d}_skin.png")
    for shot in shots:
        pose = fashion / shot.replace("img", "pose", 1)
        pose.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(f"{pose}_candidate.txt", [[8, 9, 0.5, 0], [20, 9, 0.6, 1]])
        np.savetxt(f"{pose}_subset.txt", [[-1, 0, 1, *[-1] * 15, 3.2, 2]])
    (celeba / "train.txt").write_text("3\n14\n\n159\n2653\n")
    (celeba / "val.txt").write_text("58\n979.jpg\n")
    lines = [shot.replace("/", "\\") + ".jpg" for shot in shots]
    (fashion / "train.txt").write_text("\r\n".join(lines[:4]))
    (fashion / "val.txt").write_text("\n".join(lines[4:]))
    return {"CELEBA": celeba, "DEEPFASHION": fashion}


@pytest.fixture
def here(root, monkeypatch):
    """Runs a script in this process: starting one each time would take most of the time."""

    def run(script, *words):
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
        runpy.run_path(str(script), run_name="__main__")

    return run


def test_every_command_of_the_page_works(here, root, data, photos, tmp_path):
    page = (root / "docs" / "retrieval.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [c for b in blocks for c in b.replace("\\\n", " ").splitlines() if c.strip()]
    assert len([c for c in commands if TOOL in c]) >= 7
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    names = [path.stem for path in (data / "images" / "training").iterdir()]
    (tmp_path / "groups.csv").write_text("".join(f"{n},{n[0]}\n" for n in names))
    places = {
        "DATA": data, "OUT": tmp_path / "out", "WEIGHTS.safetensors": tmp_path / "w.safetensors",
        "GROUPS.csv": tmp_path / "groups.csv", **photos,
    }  # fmt: skip
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "python"
        for name, place in places.items():
            words = [re.sub(rf"^{re.escape(name)}(?=/|$)", str(place), word) for word in words]
        here(*words[1:])
    for made in (data / "exemplars_training", data / "exemplars_test", tmp_path / "out" / "layout"):
        for suffix in (".txt", ".scores.csv", ".html"):
            assert made.with_suffix(suffix).stat().st_size > 0
    for name, kind in {"CELEBA": CelebAHQEdges, "DEEPFASHION": DeepFashion}.items():
        dataset = kind(
            photos[name], split="validation", exemplar_list="exemplars_{split}.txt",
            exemplar_split="training", exemplar_choice="first",
        )  # fmt: skip
        assert [len(record.exemplars) for record in dataset.records] == [3, 3]
        assert dataset[0].exemplar.shape == (3, 32, 32)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope = {"DATA": data}
    exec(code, scope)
    samples = [scope["dataset"][i] for i in range(2)]
    assert [s.name for s in samples] == ["c_1", "c_2"]


def test_the_list_serves_the_data_set(tool, here, data, tmp_path):
    done = tool(
        sys.executable, TOOL, "--data-root", data, "--group-regex", "^(.)_", "--top", "3",
        "--sheet", "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert "8 conditions, 3.00 exemplars each, at least 3" in done.stdout
    dataset = FolderDataset(data, exemplar_list="exemplars_{split}.txt", exemplar_choice="first")
    assert len(dataset) == 8
    for index in range(8):
        sample = dataset[index]
        assert sample.name[0] != sample.exemplar_name[0], "the other video"
        assert sample.exemplar.shape == (3, 32, 48)
    lines = read_exemplar_list(data / "exemplars_training.txt")
    assert lines["a_1.jpg"].exemplars[0] == f"{dataset[0].exemplar_name}.jpg"
    assert Image.open(data / "exemplars_training.png").size[0] > 300
    text = (data / "exemplars_training.txt").read_text()
    here(
        TOOL, "--data-root", data, "--group-regex", "^(.)_", "--top", "3", "--overwrite",
        "--cache", tmp_path / "cache",
    )  # fmt: skip
    assert (data / "exemplars_training.txt").read_text() == text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--top", "8"], "fewer than 8"),
        (["--features", "timm:test_resnet"], "WeightsError: --features timm:test_resnet has no"),
        (["--weights", "random"], "--features layout takes no weights"),
        (["--split", "validation"], "split 'validation' is neither at"),
        (["--group-gap", "3"], "--group-gap and --spread-groups need groups"),
        (["--images", "x"], "--data-root and the folders --images"),
        (["--groups", "g", "--group-regex", "x"], "--groups and --group-regex exclude each other"),
        (["--out", "list.csv"], "--out is list.csv; needed is a name that ends in .txt"),
    ],
)
def test_errors_say_what_to_do(options, words, data):
    parser = argparse.ArgumentParser()
    add_options(parser)
    parsed = parser.parse_args(["--data-root", str(data), *options])

    def run():
        output_path(parsed)
        return retrieval_of(parsed)

    with pytest.raises(ToolkitError) as caught:
        run()
    assert words in f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(("kind", "images"), [(CelebAHQEdges, "CelebA-HQ-img"), (DeepFashion, ".")])
def test_a_list_for_training_names_training_pictures_alone(here, photos, kind, images):
    root = photos["CELEBA" if kind is CelebAHQEdges else "DEEPFASHION"]
    here(
        TOOL, "--images", root / images, "--names", root / "train.txt", "--candidate-names",
        root / "train.txt", "--features", "timm:test_resnet", "--weights", "random", "--top", "3",
        "--out", root / "refs.txt",
    )  # fmt: skip
    dataset = kind(root, exemplar_list="refs.txt", exemplar_split="training")
    names = {record.condition.name for record in dataset.records}
    assert len(names) == 4
    for record in dataset.records:
        assert {e.name for e in record.exemplars} == names - {record.condition.name}
    assert len(read_exemplar_list(root / "refs.txt")) == 4


def test_names_restrict_conditions_and_exemplars_of_splits_too(here, data, tmp_path):
    (tmp_path / "few.txt").write_text("a_1\na_3.jpg\n")
    (tmp_path / "others.txt").write_text("b_2\nb_4\n")
    words = ("--data-root", data, "--top", "2", "--overwrite")
    here(
        TOOL, *words, "--names", tmp_path / "few.txt", "--candidate-names", tmp_path / "others.txt"
    )
    lines = read_exemplar_list(data / "exemplars_training.txt")
    assert list(lines) == ["a_1.jpg", "a_3.jpg"]
    assert all(set(line.exemplars) == {"b_2.jpg", "b_4.jpg"} for line in lines.values())
    here(TOOL, *words, "--candidate-names", tmp_path / "others.txt", "--allow-fewer")
    assert len(read_exemplar_list(data / "exemplars_training.txt")) == 8


def test_a_list_that_exists_stays(here, data, capsys):
    (data / "exemplars_training.txt").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        here(TOOL, "--data-root", data)
    assert ended.value.code == 2
    assert "exemplars_training.txt exists; add --overwrite" in capsys.readouterr().err
    assert (data / "exemplars_training.txt").read_text() == "mine"
