"""Metrics of image files; the command itself: tests/integration/test_evaluate.py."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mcltoolkit.errors import ConfigError, DataError, WeightsError
from mcltoolkit.metrics import (
    LPIPS,
    SWD,
    ImageQuality,
    SemanticConsistency,
    StyleRelevance,
    choice,
    evaluate_command,
    kid,
)
from mcltoolkit.metrics.folders import Folders, evaluate_folders, steps
from mcltoolkit.metrics.image_folder import open_folder, read, read_label_map
from mcltoolkit.metrics.inception import InceptionFeatures, to_bytes
from mcltoolkit.metrics.results import read_results

WEIGHTS = {
    "lpips_weights": "random",
    "lpips_net": "squeeze",
    "vgg_weights": "random",
    "inception_weights": "random",
}


@pytest.fixture
def save(tmp_path):
    """Writes an image (3, H, W) in [-1, 1], or a label map, as FOLDER/NAME."""

    def write(folder, name, values):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = to_bytes(values).permute(1, 2, 0) if values.ndim == 3 else values.byte()
        Image.fromarray(pixels.numpy()).save(path)
        return path

    return write


@pytest.fixture
def cases(samples, save):
    """Files of five samples; the samples with the values that the files hold."""
    for i, sample in enumerate(samples):
        sample.name = f"{i:02d}"
        for role, folder in (("fake", "out"), ("truth", "ref"), ("exemplar", "ex")):
            setattr(sample, role, read(save(folder, f"{sample.name}.png", getattr(sample, role))))
        save("labels", f"{sample.name}.png", sample.labels)
        sample.warped = None
    return samples


def options(**changes):
    return argparse.Namespace(
        **{
            **WEIGHTS,
            "allow_small": True,
            "seed": 0,
            "kid_subset_size": 3,
            "exemplars": None,
            **changes,
        }
    )


def evaluate(root, names, outputs="out", reference="ref", settings=None, **given):
    for name in ("exemplars", "labels"):
        if name in given:
            given[name] = root / given[name]
    folders = Folders.open(root / outputs, root / reference, **given)
    return evaluate_folders(
        folders, names, choice.settings_of(names, settings or options(), choice.OF_FILES)
    )


def values_of(metric, samples):
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_files_give_what_the_metrics_give_on_the_same_values(cases, tmp_path):
    names = ["psnr", "ssim", "l1", "lpips", "swd", "style", "semantic"]
    found = evaluate(tmp_path, names, exemplars="ex", labels="labels")
    expected = {}
    for metric in (
        ImageQuality(),
        LPIPS("random", net="squeeze"),
        SWD(),
        StyleRelevance("random"),
        SemanticConsistency("random"),
    ):
        expected.update(values_of(metric, cases))
    del expected["psnr_copy_exemplar"]
    assert {name: result.value for name, result in found.items()} == pytest.approx(expected)
    for name, result in found.items():
        passport = result.passport
        assert (passport["samples"], passport["file_format"]) == (5, "png"), name
        assert passport["image_size"] == "32x40"
        assert passport["protocol"] != "unknown"
        assert str(tmp_path / "out") in passport["data"]


def test_sets_need_no_pairs_nor_equal_counts(cases, tmp_path, save):
    (tmp_path / "ref" / "04.png").rename(tmp_path / "ref" / "another.png")
    save("ref", "one more.png", cases[0].exemplar)
    found = evaluate(tmp_path, ["kid"])
    network = InceptionFeatures("random")
    sets = [
        torch.cat([network(read(path)[None]) for path in sorted((tmp_path / f).iterdir())])
        for f in ("out", "ref")
    ]
    assert found["kid"].value == pytest.approx(kid(*sets, subset_size=3)[0], rel=1e-5)
    assert found["kid"].passport["samples"] == 5
    assert found["kid"].passport["reference_samples"] == "6"
    with pytest.raises(DataError, match="as many images"):
        evaluate(tmp_path, ["swd"])
    with pytest.raises(DataError, match="1 of 5 files of .*out have no partner .*: 04; add them"):
        evaluate(tmp_path, ["psnr"])


def test_few_images_are_refused_before_they_are_read(cases, tmp_path):
    (tmp_path / "out" / "00.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="FID of 5 images"):
        evaluate(tmp_path, ["fid"], settings=options(allow_small=False))
    with pytest.raises(DataError, match=r"image .*00.png"):
        evaluate(tmp_path, ["kid"])


def test_a_reference_without_output_is_missed_too(cases, tmp_path):
    (tmp_path / "out" / "02.png").unlink()
    with pytest.raises(DataError, match="1 of 5 files of .*ref have no partner .*: 02"):
        evaluate(tmp_path, ["l1"])
    (tmp_path / "ex" / "00.png").unlink()
    with pytest.raises(DataError, match=r"no partner .* \(exemplars\): 00"):
        evaluate(tmp_path, ["style"], exemplars="ex")
    with pytest.raises(ConfigError, match="needs the outputs' exemplars; .* --exemplars"):
        evaluate(tmp_path, ["style"])


def test_other_sizes_are_an_error_unless_resized(cases, tmp_path, save):
    save("ref", "03.png", torch.zeros(3, 20, 24))
    for names in (["psnr"], ["swd"]):
        with pytest.raises(DataError, match=r"03.png is 20x24, but the first image is 32x40.*--re"):
            evaluate(tmp_path, names)
    found = evaluate(tmp_path, ["l1"], resize=(16, 18))
    assert found["l1"].passport["input_resize"] == "16x18, bicubic (Pillow)"
    differences = []
    for i in range(5):
        pair = [Image.open(tmp_path / f / f"{i:02d}.png") for f in ("out", "ref")]
        a, b = (np.asarray(p.resize((18, 16), Image.Resampling.BICUBIC), float) for p in pair)
        differences.append(np.abs(a - b).mean() / 255)
    assert found["l1"].value == pytest.approx(np.mean(differences), rel=1e-5)


def test_formats_stand_in_the_passport_and_differing_ones_are_warned_of(cases, tmp_path, save):
    assert Folders.open(tmp_path / "out", tmp_path / "ref").warning is None
    for case in cases:
        save("jpegs", f"{case.name}.jpeg", case.fake)
    folders = Folders.open(tmp_path / "jpegs", tmp_path / "ref")
    assert "the outputs are jpg and the reference images png" in folders.warning
    found = evaluate(tmp_path, ["l1"], outputs="jpegs")
    assert found["l1"].passport["file_format"] == "jpg against png"
    save("mixed", "a.jpg", cases[0].fake)
    save("mixed", "b.png", cases[0].fake)
    mixed = Folders.open(tmp_path / "mixed", tmp_path / "mixed")
    assert "are jpg, png" in mixed.warning


def test_outputs_of_one_condition_lie_in_one_folder(sample, tmp_path, save):
    for i, condition in enumerate("aabbb"):
        save("out", f"{condition}/{i}.png", sample(i).fake)
    save("ref", "any.png", sample(9).fake)
    found = evaluate(tmp_path, ["diversity"])
    passport = found["lpips_diversity"].passport
    assert (passport["conditions"], passport["samples"]) == (2, 5)
    assert found["lpips_diversity"].value > 0


def test_a_value_does_not_depend_on_what_else_is_asked_for(sample, tmp_path, save):
    for i, condition in enumerate("aabb"):
        save("out", f"{condition}/{i}.png", sample(i).fake)
        save("ref", f"{condition}/{i}.png", sample(i).truth)
    alone, beside = (evaluate(tmp_path, names) for names in (["swd"], ["swd", "diversity"]))
    assert beside["swd"] == alone["swd"]


def test_sets_of_unequal_size_are_refused_before_they_are_read(cases, tmp_path):
    (tmp_path / "ref" / "00.png").unlink()
    (tmp_path / "out" / "01.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="SWD of 5 and 4 images: .* as many images"):
        evaluate(tmp_path, ["swd"])


def test_formats_are_those_of_the_content(cases, tmp_path, save):
    (tmp_path / "named").mkdir()
    for case in cases:
        pixels = to_bytes(case.fake).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(tmp_path / "named" / f"{case.name}.png", "JPEG")
    folders = Folders.open(tmp_path / "named", tmp_path / "ref")
    assert folders.file_format == "jpg against png"
    (tmp_path / "named" / "00.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"image .*named.00.png is unreadable"):
        _ = Folders.open(tmp_path / "named", tmp_path / "ref").warning


def test_links_are_followed_and_hidden_files_passed_over(tmp_path, save, sample):
    save("elsewhere", "deep/a.png", sample(0).fake)
    save("out", "b.png", sample(0).fake)
    save("out", ".hidden/c.png", sample(0).fake)
    (tmp_path / "out" / "._b.png").write_bytes(b"of macOS")
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "home").symlink_to(tmp_path / "out")
    assert [*open_folder(tmp_path / "out", "outputs").files] == ["b", "link/deep/a"]


def test_folders_are_checked(tmp_path, save, sample):
    with pytest.raises(DataError, match="folder of outputs .*none does not exist"):
        Folders.open(tmp_path / "none", tmp_path)
    with pytest.raises(DataError, match="holds no images"):
        Folders.open(tmp_path, tmp_path)
    file = save("out", "a.png", sample(0).fake)
    with pytest.raises(DataError, match="is a file"):
        Folders.open(file, tmp_path)
    save("out", "a.jpg", sample(0).fake)
    with pytest.raises(DataError, match=r"a.jpg and a.png: two files of one name"):
        Folders.open(tmp_path / "out", tmp_path)


def test_label_maps_of_any_depth(tmp_path):
    labels = np.array([[0, 300], [70, 255]], np.uint16)
    Image.fromarray(labels).save(tmp_path / "a.png")
    assert read_label_map(tmp_path / "a.png").tolist() == labels.tolist()
    larger = read_label_map(tmp_path / "a.png", (4, 4)).numpy()
    assert np.array_equal(larger, labels.repeat(2, 0).repeat(2, 1))


def test_names_are_checked_and_missing_weights_refused(cases, tmp_path):
    with pytest.raises(ConfigError, match="--metrics lpisp: no such metric; did you mean 'lpips'"):
        choice.settings_of(["lpisp"], options())
    with pytest.raises(ConfigError, match="--metrics pck: no such metric"):
        choice.settings_of(["pck"], options(), choice.OF_FILES)
    none = options(lpips_weights=None, vgg_weights=None, inception_weights=None)
    for name in ("fid", "kid", "lpips", "semantic"):
        with pytest.raises(WeightsError, match="-weights PATH"):
            evaluate(tmp_path, [name], settings=none)
    assert choice.defaults(none) == ["psnr", "ssim", "l1", "swd"]
    everything = choice.defaults(options(exemplars="x"))
    assert set(everything) == {*choice.OF_FILES} - {"diversity"}


def test_steps_are_those_of_the_bar(cases, tmp_path):
    folders = Folders.open(tmp_path / "out", tmp_path / "ref")
    for names in (["l1"], ["l1", "swd"]):
        made = []
        settings = choice.settings_of(names, options())
        evaluate_folders(folders, names, settings, lambda made=made: made.append(1))
        assert len(made) == steps(folders, names)


def command(*arguments):
    parser = argparse.ArgumentParser()
    evaluate_command.add_arguments(parser)
    console = Console(record=True, width=140, file=open("/dev/null", "w"))  # noqa: SIM115
    evaluate_command.run(parser.parse_args([str(a) for a in arguments]), console)
    return console.export_text()


def test_the_command_prints_writes_and_compares(cases, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    said = command(tmp_path / "out", tmp_path / "ref", "--out", first)
    values = {name: result.value for name, result in read_results(first).items()}
    assert set(values) == {"psnr", "ssim", "l1", "swd", "swd@32", "swd@16"}
    for name, value in values.items():
        assert f"{name} " in said
        assert f"{value:.4f}" in said
    assert "psnr-torchmetrics-1" in said
    assert said.count("file_format: png") == 1, "what all share stands once"
    command(tmp_path / "ref", tmp_path / "out", "--metrics", "l1", "--out", second)
    said = command("--compare", first, second)
    assert said.count(f"{values['l1']:.4f}") == 2
    said = command(tmp_path / "out", tmp_path / "ref", "--metrics", "l1", "--resize", "20", "--out",
                   second)  # fmt: skip
    with pytest.raises(ConfigError, match="l1 cannot be compared: image_size is '32x40' .*'20x20'"):
        command("--compare", first, second)


def test_a_bad_place_is_refused_before_anything_is_measured(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_command, "evaluate_folders", lambda *_: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "x.json", tmp_path / "out"):
        with pytest.raises(ConfigError, match=f"cannot write {place}"):
            command(tmp_path / "out", tmp_path / "ref", "--metrics", "l1", "--out", place)
    with pytest.raises(ConfigError, match="--device cuda:77 cannot be used"):
        command(tmp_path / "out", tmp_path / "ref", "--metrics", "l1", "--device", "cuda:77")


def test_the_table_is_printed_even_if_the_file_fails(cases, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(evaluate_command, "results_table", lambda results: said.append(results))

    def full(*_):
        raise ConfigError("the disk is full")

    monkeypatch.setattr(evaluate_command, "write_results", full)
    with pytest.raises(ConfigError, match="full"):
        command(tmp_path / "out", tmp_path / "ref", "--metrics", "l1", "--out", tmp_path / "a.json")
    assert "l1" in said[0]


def test_brackets_in_names_are_printed_as_they_are(cases, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").rename(tmp_path / "[bold]o")
    said = command("[bold]o", "ref", "--metrics", "l1", "--out", "[red]a.json")
    assert "data: [bold]o" in said
    assert "[red]a.json" in command("--compare", "[red]a.json", "[red]a.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "two folders are needed"),
        (["out"], "two folders are needed"),
        (["out", "--compare", "a.json"], "leave out the folder out"),
        (["out", "ref", "--resize", "0x4"], "--resize 0x4: allowed are HEIGHTxWIDTH"),
    ],
)
def test_the_commands_mistakes(arguments, words):
    with pytest.raises((ConfigError, DataError), match=words):
        command(*arguments)


def test_metrics_join_a_configs_evaluators():
    config = SimpleNamespace(test_evaluator=None)
    config.get = lambda name: getattr(config, name)
    settings = choice.settings_of(["swd", "psnr", "ssim", "label_transfer"], options(seed=3))
    choice.add_to_evaluators(config, settings)
    assert config.test_evaluator == [
        {"type": "SWD", "seed": 3},
        {"type": "ImageQuality"},
        {"type": "LabelTransfer"},
    ]
    config.test_evaluator = [{"type": "SWD"}, {"type": "LabelTransfer", "ignore_label": 0}]
    choice.add_to_evaluators(config, settings)
    assert config.test_evaluator == [
        {"type": "SWD", "seed": 3},
        {"type": "LabelTransfer", "ignore_label": 0},
        {"type": "ImageQuality"},
    ]
    said = [
        {"type": "SWD", "patches": 64, "seed": 5},
        {"type": "KID", "weights": "a", "subsets": 9},
    ]
    config.test_evaluator = said
    parser = argparse.ArgumentParser()
    choice.add_options(parser, tuple(choice.TYPES))
    given = parser.parse_args(["--metrics", "swd", "kid", "--kid-subset-size", "50"])
    given.vgg_weights = None
    choice.add_to_evaluators(config, choice.settings_of(given.metrics, given))
    assert config.test_evaluator == [said[0], {**said[1], "subset_size": 50}]
    config.test_evaluator = {"type": "PCK"}
    choice.add_to_evaluators(config, {})
    assert config.test_evaluator == [{"type": "PCK"}]
