"""The report of a test: which samples it shows, and that they are those that were tested."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks.samples import by_index, translate_again, values_by_index
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.metrics.results import read_results
from mcltoolkit.visualization.record import read_record

OPTIONS = {"test_dataloader.dataset.length": 7}


@pytest.fixture
def tested(tiny_config, tmp_path):
    """Tests an untrained network; returns the folder."""

    def run(name, samples, **options):
        config = load_config(tiny_config, {**OPTIONS, **options}, work_dir=str(tmp_path / "work"))
        run_test(config, None, out_dir=str(tmp_path / name), samples=samples)
        return tmp_path / name

    return run


def groups_of(folder):
    content = json.loads((folder / "record" / "samples.json").read_text())
    return {s["name"]: s["groups"] for s in content["samples"]}


def test_extremes_are_those_of_all_samples_and_look_as_they_were_tested(tested):
    whole, few = tested("whole", 7), tested("few", 1)
    every = {s.name: s for s in read_record(whole / "record").samples}
    order = sorted(every, key=lambda name: -every[name].values["psnr"])
    groups = groups_of(few)
    for group, names in (("best", order[:2]), ("median", order[2:4]), ("worst", order[-2:])):
        assert [n for n, g in groups.items() if group in g] == unordered(groups, names)
    assert "first" in groups["test_000000"]
    mean = np.mean([s.values["psnr"] for s in every.values()])
    assert mean == pytest.approx(read_results(whole / "metrics.json")["psnr"].value)
    for sample in read_record(few / "record").samples:
        for kind, path in sample.pictures.items():
            ours, theirs = (
                cv2.imread(str(p)).astype(int) for p in (path, every[sample.name].pictures[kind])
            )
            assert np.abs(ours - theirs).max() <= 1, "only the size of the batch is another"


def unordered(groups, names):
    return [name for name in groups if name in names]


def test_the_page_tells_groups_values_passports_and_classes(tested):
    folder = tested("out", 2)
    html = (folder / "report.html").read_text()
    assert "<h2>Best, median and worst samples</h2>" in html
    assert "over all 7 samples" in html
    record = read_record(folder / "record")
    for sample in record.samples:
        told = f"PSNR {sample.values['psnr']:.2f} dB, label transfer"
        assert f"{sample.name}, exemplar {sample.exemplar} ({told}" in html
    passport = read_results(folder / "metrics.json")["psnr"].passport
    row = html[html.index('title="psnr"') :].split("</tr>")[0]
    assert "how measured" in row
    assert passport["protocol"] in row
    assert html.count('class="bar"') == 6
    assert html.count('class="inspector"') == len(record.samples)
    assert record.config["model"]["condition_channels"] == 6
    assert "train_dataloader" in record.config


def test_samples_without_truth_or_labels_are_not_ranked(tested):
    folder = tested("out", 2, **{"test_evaluator": [{"type": "MatchEntropy"}]})
    assert "median" not in (folder / "report.html").read_text()
    assert list(groups_of(folder).values()) == [["first"], ["first"]]


def loader(items, names=None):
    data = [SimpleNamespace(name=n) for n in names or []]
    return SimpleNamespace(sampler=items, dataset=data, collate_fn=lambda samples: samples)


def test_names_go_to_their_index():
    runner = SimpleNamespace(test_dataloader=loader([2, 0, 1]))
    assert by_index(runner, ["c", "a", "b"]) == {0: "a", 1: "b", 2: "c"}
    assert by_index(runner, ["c", "a"]) == {}, "a stream that gave fewer cannot be told"
    runner.test_dataloader = loader(iter([None, None]))
    assert by_index(runner, ["a", "b"]) == {}


def test_ranks_put_their_names_together(monkeypatch):
    module = "mcltoolkit.engine.hooks.samples.of_all_ranks"
    monkeypatch.setattr(module, lambda ours: [ours, {1: "b", 3: "d", 0: "a"}])
    runner = SimpleNamespace(test_dataloader=loader([0, 2, 4]))
    assert by_index(runner, ["a", "c", "e"]) == dict(enumerate("abcde"))
    monkeypatch.setattr(module, lambda ours: [ours, None])
    assert by_index(runner, ["a", "c", "e"]) == {}


def test_values_of_samples_with_one_name_stay_apart():
    metrics = [
        SimpleNamespace(per_sample={"a": {"psnr": 1.0}, "a#2": {"psnr": 2.0}}),
        SimpleNamespace(per_sample={"b": {"ssim": 0.5}, "a": {"ssim": 0.1}}),
        object(),
    ]
    assert values_by_index({0: "a", 1: "b", 4: "a"}, metrics) == {
        0: {"psnr": 1.0, "ssim": 0.1}, 1: {"ssim": 0.5}, 4: {"psnr": 2.0},
    }  # fmt: skip


def test_a_sample_that_is_another_the_second_time_is_left_out():
    model = SimpleNamespace(test_step=lambda samples: samples)
    runner = SimpleNamespace(test_dataloader=loader([0, 1], ["a", "other"]), model=model)
    found = translate_again(runner, {0: "a", 1: "b"}, [0, 1])
    assert {i: p.name for i, p in found.items()} == {0: "a"}


def test_the_average_of_weights_is_what_the_samples_show(tested, tiny_config, tmp_path):
    """EMAHook puts the trained weights back after a test; the best sample must not be made of
    these."""
    config = load_config(tiny_config, OPTIONS, work_dir=str(tmp_path / "work"))
    config.custom_hooks.append(dict(type="EMAHook"))
    config.train_cfg.max_iters = 2
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    from mcltoolkit.engine.launch import train

    train(config)
    file = tmp_path / "work" / "iter_2.pth"
    state = torch.load(file, weights_only=True)
    for name, value in state["ema_state_dict"].items():
        if value.is_floating_point():
            state["ema_state_dict"][name] = value * 1.5
    torch.save(state, file)
    folders = []
    for samples in (1, 7):
        folders.append(tmp_path / f"test{samples}")
        run_test(config, str(file), out_dir=str(folders[-1]), samples=samples)
    few, every = (read_record(folder / "record").samples for folder in folders)
    known = {s.name: s for s in every}
    assert len(few) > 1
    for sample in few:
        ours, theirs = (
            cv2.imread(str(s.pictures["output"])).astype(int) for s in (sample, known[sample.name])
        )
        assert np.abs(ours - theirs).max() <= 1
