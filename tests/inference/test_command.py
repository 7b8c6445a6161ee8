import os

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.cli import main
from mcltoolkit.conversion import to_toolkit
from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import Exemplar, interpolate, load_model, translate, translate_each
from mcltoolkit.models.translator import Translator

LISTED = {"f1": "f2", "f2": "f10", "f10": "f1"}


@pytest.fixture(scope="module")
def place(cocosnet, tmp_path_factory):
    """A folder with a checkpoint that compares no exemplar labels, conditions and exemplars."""
    folder = tmp_path_factory.mktemp("command")
    states = cocosnet.make(**{**cocosnet.TASKS["ade20k"], "mask_mix": False})
    content = to_toolkit("ade20k", **states, allow_other_architecture=True)
    content["config"]["inference"]["size"] = (64, 64)
    torch.save(content, folder / "ours.pth")
    rng = np.random.default_rng(0)
    for name in ("c", "photos", "photo_labels"):
        (folder / name).mkdir()
    for name in ("f1", "f2", "f10"):
        labels = rng.integers(7, size=(5, 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(labels).save(folder / "c" / f"{name}.png")
        photo = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(photo).resize((50, 60)).save(folder / "photos" / f"{name}.bmp")
    (folder / "c" / "notes.txt").write_text("no picture\n")
    (folder / "list.txt").write_text(
        "x/f1.jpg,photos/f2.bmp\nf2.png,photos\\f10.bmp,photos/f1.bmp\nf10.png,photos/f1.bmp\n"
    )
    return folder


@pytest.fixture
def run(place, monkeypatch, tmp_path, capsys):
    """The command in `place`, its output in a folder of its own; the status and what it says."""
    monkeypatch.chdir(place)

    def run(*arguments, status=0, out="out", condition="c", checkpoint="ours.pth"):
        command = ["translate", checkpoint, "--condition", condition, "--out", tmp_path / out]
        ended = 0
        try:
            main([str(word) for word in (*command, "--device", "cpu", *arguments)])
        except SystemExit as exit:
            ended = exit.code
        said = capsys.readouterr()
        assert ended == status, said.err
        return said.err if status else said.out

    return run


@pytest.fixture(scope="module")
def model(place):
    return load_model(place / "ours.pth", "cpu")


def picture(file):
    return np.array(Image.open(file))


def test_one_picture(run, place, model, tmp_path):
    said = run(
        "--exemplar", "photos/f1.bmp", "--warped", tmp_path / "w.png", condition="c/f1.png",
        out="deep/o.png",
    )  # fmt: skip
    expected = translate(place / "c" / "f1.png", place / "photos" / "f1.bmp", model)
    assert np.array_equal(picture(tmp_path / "deep" / "o.png"), expected.array)
    assert np.array_equal(picture(tmp_path / "w.png"), expected.warped_array)
    assert said == (
        "translated at 40x64: own size of the condition; the model's test size is 64x64, give "
        f"--size 64 64 for that\n{tmp_path}/deep/o.png: 40x64\n{tmp_path}/w.png: 40x64\n"
    )


def test_a_folder_with_one_exemplar(run, place, model, tmp_path):
    said = run("--exemplar", "photos/f1.bmp", "--batch-size", "2", "--warped", tmp_path / "w")
    assert "3 of 3 pictures" in said
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["f1.png", "f10.png", "f2.png"]
    for name in ("f1", "f2", "f10"):
        expected = translate(place / "c" / f"{name}.png", place / "photos" / "f1.bmp", model)
        found = picture(tmp_path / "out" / f"{name}.png").astype(int)
        assert abs(found - expected.array).max() <= 1
        assert (
            abs(picture(tmp_path / "w" / f"{name}.png") - expected.warped_array.astype(int)).max()
            <= 1
        )


@pytest.mark.parametrize(
    ("options", "exemplars"),
    [
        (["--exemplar", "photos"], {"f1": "f1", "f2": "f2", "f10": "f10"}),
        (["--exemplar-list", "list.txt"], {"f1": "f2", "f2": "f10", "f10": "f1"}),
        (
            ["--exemplar-list", "list.txt", "--exemplar", "."],
            {"f1": "f2", "f2": "f10", "f10": "f1"},
        ),
    ],
)
def test_a_folder_with_an_exemplar_for_each(run, place, model, tmp_path, options, exemplars):
    run(*options)
    for name, exemplar in exemplars.items():
        expected = translate(
            place / "c" / f"{name}.png", place / "photos" / f"{exemplar}.bmp", model
        )
        assert np.array_equal(picture(tmp_path / "out" / f"{name}.png"), expected.array)


def test_blends_regions_and_sizes(run, place, model, tmp_path):
    files = [place / "photos" / f"{name}.bmp" for name in ("f1", "f2", "f10")]
    run(
        "--exemplar", *files[:2], "--weights", "1", "3", "--region", f"class 2={files[2]}",
        "--region", f"4={files[2]}", "--size", "own", condition="c/f1.png", out="o.png",
    )  # fmt: skip
    condition = place / "c" / "f1.png"
    other = Exemplar(files[2])
    expected = translate(
        condition, files[:2], model, weights=[1, 3], regions={2: other, 4: other}, size="own"
    )
    assert np.array_equal(picture(tmp_path / "o.png"), expected.array)
    run("--exemplar", files[0], "--size", "33", "50", condition="c/f1.png", out="small.png")
    assert picture(tmp_path / "small.png").shape == (33, 50, 3)
    run(
        "--exemplar", files[0], "--size", "33", "50", "--restore-size", condition="c/f1.png",
        out="back.png",
    )  # fmt: skip
    small = translate(condition, files[0], model, size=(33, 50))
    assert np.array_equal(picture(tmp_path / "back.png"), small.at_condition_size())
    assert picture(tmp_path / "back.png").shape == (40, 64, 3)


def test_an_interpolation(run, place, model, tmp_path):
    files = [place / "photos" / f"{name}.bmp" for name in ("f1", "f2")]
    run(
        "--exemplar", *files, "--interpolate", "3", "--animation", tmp_path / "a.webp",
        condition="c/f1.png",
    )  # fmt: skip
    expected = interpolate(place / "c" / "f1.png", *files, model, steps=3)
    for number, result in enumerate(expected, start=1):
        assert np.array_equal(picture(tmp_path / "out" / f"f1_{number}.png"), result.array)
    animation = Image.open(tmp_path / "a.webp")
    assert (animation.n_frames, animation.size) == (3, (64, 40))
    for number, result in enumerate(expected):
        animation.seek(number)
        assert np.array_equal(np.array(animation.convert("RGB")), result.array)


def test_a_video(run, place, model, tmp_path):
    run(
        "--exemplar", "photos/f1.bmp", "--video", "--steadiness", "0.5", "--animation",
        tmp_path / "a.gif", "--fps", "10",
    )  # fmt: skip
    frames = [place / "c" / f"{name}.png" for name in ("f1", "f2", "f10")]  # in natural order
    expected = list(translate_each(frames, place / "photos" / "f1.bmp", model, steadiness=0.5))
    for file, result in zip(frames, expected, strict=True):
        assert np.array_equal(picture(tmp_path / "out" / file.name), result.array)
    animation = Image.open(tmp_path / "a.gif")
    assert animation.n_frames == 3
    assert animation.info["duration"] == 100


def test_one_bad_file_does_not_stop_a_folder(run, place, tmp_path):
    bad = tmp_path / "c"
    bad.mkdir()
    for name in ("f1", "f10"):
        (bad / f"{name}.png").write_bytes((place / "c" / f"{name}.png").read_bytes())
    (bad / "f2.png").write_bytes(b"no picture")
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(bad / "f3.png")
    said = run("--exemplar", "photos/f1.bmp", condition=bad, status=2)
    assert "2 of 4 pictures could not be made" in said
    assert "f2.png is unreadable or truncated" in said
    assert "f3.png: value 7 found, allowed are 0..6" in said
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["f1.png", "f10.png"]
    said = run("--exemplar", "photos/f1.bmp", "--video", condition=bad, status=2, out="video")
    assert "condition" in said
    assert "f2.png is unreadable" in said
    assert [f.name for f in (tmp_path / "video").iterdir()] == ["f1.png"]


@pytest.fixture
def bad(place, tmp_path):
    """A folder with three conditions, one of them unreadable."""
    folder = tmp_path / "bad"
    folder.mkdir()
    for name in ("f1", "f10"):
        (folder / f"{name}.png").write_bytes((place / "c" / f"{name}.png").read_bytes())
    (folder / "f0.png").write_bytes(b"no picture")
    return folder


def test_no_kind_of_bad_file_stops_a_folder(run, bad, tmp_path):
    np.save(bad / "f2.npy", np.zeros((7, 20, 20), np.float32))
    with (bad / "f3.npy").open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    said = run(
        "--exemplar", "photos/f1.bmp", "--size", "24", "24", "--overwrite", condition=bad, status=2
    )
    assert "3 of 5 pictures could not be made" in said
    assert f"{bad}/f2.npy: --size 24 24 with a condition of 20 x 20 numbers" in said
    assert "f3.npy cannot be read as an array of numbers" in said
    assert said.rstrip().endswith("correct the files and run again")
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["f1.png", "f10.png"]


def test_what_the_networks_refuse_does_not_stop_a_folder(run, bad, tmp_path, monkeypatch):
    """Whatever it is: here one of the three conditions of a batch."""
    align = Translator.align

    def picky(self, batch, descriptors, side):
        if any(name.endswith("f10.png") for name in batch.names):
            raise ConfigError("the grid is too small")
        return align(self, batch, descriptors, side)

    monkeypatch.setattr(Translator, "align", picky)
    options = ("--exemplar", "photos/f1.bmp", "--batch-size", "2")
    said = run(*options, condition=bad, status=2)
    assert f"{bad}/f10.png: the grid is too small" in said
    assert "2 of 3 pictures could not be made" in said
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["f1.png"]
    said = run(*options[:2], condition=bad / "f10.png", status=2, out="o.png")
    assert "could not be made" not in said


def test_what_ends_the_work_does_not_hide_the_bad_files(run, bad, tmp_path):
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(bad / "f2.png")
    said = run(
        "--exemplar", "photos/f1.bmp", "--animation", tmp_path / "a.gif", condition=bad, status=2
    )
    assert "1 of 4 pictures could not be made:" in said
    assert "f0.png is unreadable" in said
    assert "pictures of one size are needed, found 20x20, 40x64" in said
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["f1.png", "f2.png"], "at once"
    assert not (tmp_path / "a.gif").exists()


def test_stdout_stays_stdout_under_a_progress_bar(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = run("--exemplar", "photos/f1.bmp")
    assert said.startswith("translated at 40x64")
    assert "3 of 3 pictures" in said


def test_places_that_cannot_be_written(run, place, tmp_path):
    exemplar = ("--exemplar", "photos/f1.bmp")
    said = run(*exemplar, out=place / "ours.pth" / "x", status=2)
    assert f"f1.png cannot be written, since {place}/ours.pth is a file and no folder" in said
    (tmp_path / "out" / "f1.png").mkdir(parents=True)
    assert "f1.png is a folder, but a picture goes there" in run(*exemplar, status=2)
    (tmp_path / "same").mkdir()
    os.link(place / "c" / "f1.png", tmp_path / "same" / "f2.png")
    said = run(*exemplar, "--overwrite", out="same", status=2)
    assert f"--out and --condition are both {tmp_path}/same/f2.png (c/f1.png)" in said
    assert picture(place / "c" / "f1.png").shape == (40, 64)


def test_nothing_is_replaced_unless_asked_for(run, place, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f10.png").write_text("mine")
    said = run("--exemplar", "photos/f1.bmp", status=2)
    assert "1 of the pictures to write exist already" in said
    assert "--overwrite" in said
    assert (tmp_path / "out" / "f10.png").read_text() == "mine"
    assert len(list((tmp_path / "out").iterdir())) == 1
    run("--exemplar", "photos/f1.bmp", "--overwrite")
    assert picture(tmp_path / "out" / "f10.png").shape == (40, 64, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no exemplar is given; give --exemplar or --exemplar-list"),
        (["--exemplar", "none.jpg"], "--exemplar none.jpg does not exist"),
        (["--exemplar", "photos", "photos"], "photos is a folder among files"),
        (["--exemplar", "photo_labels"], "holds no file with the ending .jpg, .jpeg, .png"),
        (["--exemplar", "ours.pth"], "ours.pth is unreadable"),
        (["--exemplar", "photos/f1.bmp", "--size", "1"], "--size is 1; allowed are HEIGHT"),
        (["--exemplar", "photos/f1.bmp", "--size", "a", "b"], "--size is a b; allowed are HEIGHT"),
        (["--exemplar", "photos/f1.bmp", "--batch-size", "0"], "batch_size is 0"),
        (["--exemplar", "photos/f1.bmp", "--weights", "1", "2"], "for 1 exemplar; give one weight"),
        (["--exemplar", "photos/f1.bmp", "--steadiness", "0.5"], "--steadiness is for the frames"),
        (["--exemplar", "photos/f1.bmp", "--video", "--steadiness", "2"], "allowed are 0 (none)"),
        (["--exemplar", "photos", "--video"], "--video has the same exemplars in all frames"),
        (["--exemplar", "photos/f1.bmp", "--interpolate", "3"], "from one exemplar to another"),
        (["--exemplar", "photos/f1.bmp", "photos/f2.bmp", "--interpolate", "1"], "steps is 1"),
        (["--exemplar", "photos/f1.bmp", "--animation", "a.mp4"], "the endings .gif, .webp"),
        (["--exemplar", "photos/f1.bmp", "--animation", "a.gif", "--fps", "0"], "fps is 0.0"),
        (["--exemplar", "photos/f1.bmp", "--region", "2"], "write LABEL=FILE"),
        (["--exemplar", "photos/f1.bmp", "--region", "2=no.jpg"], "--region no.jpg does not exist"),
        (["--exemplar", "photos/f1.bmp", "--region", "9=photos/f2.bmp"], "allowed are 0..6"),
        (
            ["--exemplar", "photos/f1.bmp", "--region-condition", "2=c/f1.png"],
            "there is no --region 2",
        ),
        (
            ["--exemplar", "photos/f1.bmp", "--exemplar-condition", "c/f1.png", "c/f2.png"],
            "2 --exemplar-condition for 1 --exemplar",
        ),
        (
            ["--exemplar", "photos", "--exemplar-condition", "c/f1.png"],
            "--exemplar-condition is c/f1.png, not a folder; give the folder",
        ),
        (
            ["--exemplar", "photos/f1.bmp", "--exemplar-condition", "c/f1.png"],
            "photos/f1.bmp has 60x50 pixels (height x width), its condition c/f1.png 40x64",
        ),
        (
            ["--exemplar-list", "list.txt", "--weights", "1", "1"],
            "line 1: 1 exemplars for f1.png, 2 are needed",
        ),
        (["--exemplar-list", "list.txt", "--exemplar", "c"], "c/photos/f2.bmp does not exist"),
        (
            ["--exemplar-list", "list.txt", "--exemplar", "photos/f1.bmp"],
            "the one folder that the list's names are relative to, found photos/f1.bmp",
        ),
        (
            ["--exemplar-list", "list.txt", "--exemplar", ".", "photos"],
            "relative to, found . photos; give that folder",
        ),
        (["--exemplar-list", "no.txt"], "set --exemplar-list"),
        (["--exemplar", "photos/f1.bmp", "--warped", "c"], "--warped and --condition are both"),
    ],
)
def test_mistakes_are_explained_before_work_starts(run, tmp_path, options, words):
    assert words in run(*options, status=2)
    assert not (tmp_path / "out").exists()


def test_mistaken_conditions_and_outputs(run, place, tmp_path):
    exemplar = ("--exemplar", "photos/f1.bmp")
    for condition, words in {
        "none": "--condition none is neither a file nor a folder",
        ".": "found: .pth, .txt; folders c, photo_labels, photos, which are not entered",
    }.items():
        assert words in run(*exemplar, condition=condition, status=2)
    twice = tmp_path / "twice"
    twice.mkdir()
    for name in ("a.png", "a.bmp"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(twice / name)
    said = run(*exemplar, condition=twice, status=2)
    assert "have the same name without their ending" in said
    said = run("--exemplar", "photos", condition=twice / "a.png", status=2, out="o.png")
    assert "1 of 1 conditions have no file of the same name" in said
    assert "a.png" in said
    assert "several pictures are written; give a folder" in run(*exemplar, status=2, out="o.png")
    said = run(*exemplar, condition="c/f1.png", status=2, out="o.jpg")
    assert "is no .png file name" in said


def test_labels_of_exemplars_by_name(ade20k, place, run, tmp_path):
    """A model that compares the exemplar's labels, which lie in a folder under the same names."""
    labels = tmp_path / "labels"
    labels.mkdir()
    for name in ("f1", "f2", "f10"):
        Image.open(place / "c" / f"{name}.png").resize((50, 60)).save(labels / f"{name}.png")
    options = ("--exemplar-list", "list.txt", "--exemplar-condition", labels)
    run(*options, checkpoint=ade20k)
    model = load_model(ade20k, "cpu")
    exemplar = Exemplar(place / "photos" / "f10.bmp", labels / "f10.png")
    expected = translate(place / "c" / "f2.png", exemplar, model).array
    assert np.array_equal(picture(tmp_path / "out" / "f2.png"), expected)
    said = run("--exemplar", "photos/f1.bmp", checkpoint=ade20k, status=2, out="n")
    assert "give the label map of photos/f1.bmp with --exemplar-condition" in said
    (labels / "f10.png").unlink()
    said = run(*options, checkpoint=ade20k, status=2, out="n")
    assert "1 of 3 exemplars have no file of the same name" in said
