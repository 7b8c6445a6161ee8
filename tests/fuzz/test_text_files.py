"""Lists, splits, class names, palettes, poses: text files with anything in them."""

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import FolderDataset, read_exemplar_list
from mcltoolkit.data.deepfashion import DeepFashion
from mcltoolkit.data.label_colours import read_label_colours
from mcltoolkit.data.poses import read_pose

LIST = "a.png,b.png,c.png\nb.png,c.png\nc.png,a.png\n"
CLASSES = "thing\nother thing\nlast\n"
PALETTE = (
    "classes:\n  - {id: 0, name: sky, colour: [70, 130, 180]}\n"
    "  - {id: 1, name: road, colour: [[1, 2, 3], [4, 5, 6]]}\n"
    "  - {id: 2, name: unknown, colour: [0, 0, 0], ignore: true}\n"
)
CANDIDATE = "\n".join(f"{10 + i}.5 {20 + i} 0.9 {i}" for i in range(18))
SUBSET = " ".join(map(str, range(18))) + " 20.5 18"


@pytest.fixture
def folder(tmp_path):
    """A folder of three tiny pictures with everything that a data set reads."""
    for kind in ("images", "annotations"):
        (tmp_path / kind / "training").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / "training" / f"{name}.png")
        Image.new("L", (8, 8)).save(tmp_path / "annotations" / "training" / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize("spoiled", ["exemplars.txt", "classes.txt"])
def test_lists_of_a_folder(folder, judge, cases, spoiled_text, spoiled):
    texts = {"exemplars.txt": LIST, "classes.txt": CLASSES}
    for name, text in texts.items():
        (folder / name).write_text(text)
    for case, rng in cases(800, spoiled):
        (folder / spoiled).write_bytes(spoiled_text(texts[spoiled], rng))
        listed_only = rng.random() < 0.5

        def run(listed_only=listed_only):
            data = FolderDataset(folder, exemplar_list="exemplars.txt", listed_only=listed_only)
            data[0]

        judge(case, run, folder)
    judge.done(at_least=50 if spoiled == "classes.txt" else 400)


def test_exemplar_lists_and_palettes(tmp_path, judge, cases, spoiled_text):
    path = tmp_path / "file.txt"
    for case, rng in cases(1500, "lists"):
        read, text = rng.choice(((read_exemplar_list, LIST), (read_label_colours, PALETTE)))
        path.write_bytes(spoiled_text(text, rng))
        judge(f"{case} {read.__name__}", lambda r=read: r(path), path)
    judge.done(at_least=300)


def test_poses(tmp_path, judge, cases, spoiled_text):
    files = {"candidate": tmp_path / "p_candidate.txt", "subset": tmp_path / "p_subset.txt"}
    for case, rng in cases(800, "poses"):
        texts = {"candidate": CANDIDATE, "subset": SUBSET}
        for name, path in files.items():
            path.write_text(texts[name])
        name = rng.choice(list(files))
        files[name].write_bytes(spoiled_text(texts[name], rng))
        judge(case, lambda: read_pose(*files.values()), *files.values())
    judge.done(at_least=400)


def test_splits_of_persons(tmp_path, judge, cases, spoiled_text):
    """Poses and photos are there; split file, exemplar and pair lists are spoiled in turn."""
    names = [f"WOMEN/id_00000001/0{k}_1_front" for k in (1, 2)]
    for name in names:
        for kind in ("img", "pose"):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(tmp_path / "img" / f"{name}.jpg")
        (tmp_path / "pose" / f"{name}_candidate.txt").write_text(CANDIDATE)
        (tmp_path / "pose" / f"{name}_subset.txt").write_text(SUBSET)
    photos = [f"img/{name}.jpg" for name in names]
    texts = {
        "train.txt": "\n".join(photos),
        "list.txt": f"{photos[0]},{photos[1]}\n{photos[1]},{photos[0]}\n",
        "pairs.txt": f"{photos[0]},{photos[1]}\n",
    }

    def run():
        DeepFashion(tmp_path, exemplar_list="list.txt", pair_list="pairs.txt")[0]

    for case, rng in cases(600, "persons"):
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        name = rng.choice(list(texts))
        (tmp_path / name).write_bytes(spoiled_text(texts[name], rng))
        judge(f"{case} {name}", run, tmp_path)
    judge.done(at_least=100)
