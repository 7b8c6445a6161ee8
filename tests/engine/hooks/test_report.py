"""The report of a test: which samples it shows, and that they are those that were tested."""

import json
import random
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from mcltoolkit.data.draws import Draw
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks import ReportHook
from mcltoolkit.engine.hooks.samples import (
    DrawnSample,
    by_index,
    translate_again,
    values_by_index,
)
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics.results import read_results
from mcltoolkit.registry import DATA_SAMPLERS, DATASETS
from mcltoolkit.structures import Sample
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
    data = [SimpleNamespace(name=n, exemplar_name="e") for n in names or []]
    return SimpleNamespace(sampler=items, dataset=data, collate_fn=lambda samples: samples)


def named(names):
    return [(name, "e") for name in names]


def names_of(tested):
    return {index: sample.name for index, sample in tested.items()}


def test_names_go_to_their_index():
    runner = SimpleNamespace(test_dataloader=loader([2, 0, 1]))
    assert names_of(by_index(runner, named("cab"))) == {0: "a", 1: "b", 2: "c"}
    assert by_index(runner, named("ca")) == {}, "a stream that gave fewer cannot be told"
    runner.test_dataloader = loader(iter([None, None]))
    assert by_index(runner, named("ab")) == {}
    draws = [Draw(1, 40), Draw(0, 41)]
    runner.test_dataloader = loader(draws)
    assert [t.item for t in by_index(runner, named("ba")).values()] == draws[::-1]
    runner.test_dataloader.batch_sampler = [[1, 2], [0]]
    assert names_of(by_index(runner, named("bca"))) == {0: "a", 1: "b", 2: "c"}


def test_ranks_put_their_names_together(monkeypatch):
    module = "mcltoolkit.engine.hooks.samples.of_all_ranks"
    other = [(1, ("b", "e")), (3, ("d", "e")), (0, ("padding", "e"))]
    monkeypatch.setattr(module, lambda ours: [ours, other])
    runner = SimpleNamespace(test_dataloader=loader([0, 2, 4]))
    tested = by_index(runner, named("ace"))
    assert names_of(tested) == dict(enumerate("abcde"))
    assert [(t.place, t.rank) for t in tested.values()] == [(0, 0), (1, 1), (2, 0), (3, 1), (4, 0)]
    monkeypatch.setattr(module, lambda ours: [ours, None])
    assert by_index(runner, named("ace")) == {}


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
    runner = SimpleNamespace(test_dataloader=loader([0, 1, 2], ["a", "other", "c"]), model=model)
    tested = {
        0: DrawnSample(0, "a", "e"),
        1: DrawnSample(1, "b", "e"),
        2: DrawnSample(2, "c", "another"),
    }
    found = translate_again(runner, tested, [0, 1, 2])
    assert {i: p.name for i, p in found.items()} == {0: "a"}


@pytest.mark.parametrize("kind", ["SeededSampler", "DefaultSampler"])
def test_a_shuffled_test_shows_what_it_measured(tested, kind):
    sampler = {"test_dataloader.sampler": {"type": kind, "shuffle": True}}
    check_pictures(tested("out", 2, **sampler), 2 + 4)


def test_a_batch_sampler_decides_which_sample_came_when(tested):
    @DATA_SAMPLERS.register_module(force=True)
    class BackwardsForThisTest:
        def __init__(self, sampler, batch_size, drop_last=False):
            self.items, self.size = [*sampler][::-1], batch_size

        def __iter__(self):
            steps = range(0, len(self.items), self.size)
            return iter([self.items[k : k + self.size] for k in steps])

        def __len__(self):
            return -(-len(self.items) // self.size)

    chosen = {"test_dataloader.batch_sampler": {"type": "BackwardsForThisTest"}}
    folder = tested("out", 1, **chosen)
    check_pictures(folder, 1 + 4)
    assert "first" in groups_of(folder)["test_000000"]


def check_pictures(folder, least):
    """Told PSNR and that of the pictures are the same, up to 8 bits."""
    samples = read_record(folder / "record").samples
    assert len(samples) >= least - 1, "one may be both"
    for sample in samples:
        output, truth = (
            cv2.imread(str(sample.pictures[kind])).astype(float) / 255
            for kind in ("output", "truth")
        )
        shown = -10 * np.log10(((output - truth) ** 2).mean())
        assert shown == pytest.approx(sample.values["psnr"], abs=0.1)


@DATASETS.register_module(force=True)
class OtherEveryTimeForThisTest(Dataset):
    """Draws from the global generator: an index gives another sample every time."""

    metainfo = {}

    def __len__(self):
        return 7

    def __getitem__(self, index):
        image = (torch.rand(3, 1, 1) * 2 - 1).expand(3, 32, 32).clone()
        labels = torch.full((32, 32), random.randrange(6))
        return Sample(name=f"s{index}", exemplar=image, labels=labels, truth=image,
                      exemplar_labels=labels, exemplar_name="", paired=True)  # fmt: skip


def test_a_data_set_that_draws_anew_is_not_shown_with_other_values(tiny_config, tmp_path):
    config = load_config(tiny_config, work_dir=str(tmp_path / "work"))
    config.test_dataloader.dataset = dict(type="OtherEveryTimeForThisTest")
    run_test(config, None, out_dir=str(tmp_path / "out"), samples=1)
    check_pictures(tmp_path / "out", 1)
    html = (tmp_path / "out" / "report.html").read_text()
    assert "samples left out" in html
    assert "the data set gave another sample the second time" in html


def test_a_broken_log_of_the_training_costs_the_curves_not_the_test(tiny_config, tmp_path):
    file = tmp_path / "scalars.json"
    file.write_text('{"step": 1, "lo\n{"step": 2, "loss": 1.0}\n')
    config = load_config(tiny_config, {"test_dataloader.dataset.length": 2},
                         work_dir=str(tmp_path / "work"))  # fmt: skip
    run_test(config, None, out_dir=str(tmp_path / "out"), scalars_file=file)
    record = read_record(tmp_path / "out" / "record")
    assert [s.index for s in record.samples] == [0, 1]
    assert record.curves == {}
    assert "<h2>Curves" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize("samples", [0, -1])
def test_a_report_of_no_samples_is_refused_before_the_test(tiny_config, tmp_path, samples):
    config = load_config(tiny_config, work_dir=str(tmp_path / "work"))
    for make in (
        lambda: run_test(config, None, out_dir=str(tmp_path / "out"), samples=samples),
        lambda: ReportHook(samples=samples),
    ):
        with pytest.raises(ConfigError, match=f"samples is {samples}; allowed are integers >= 1"):
            make()
    assert not (tmp_path / "out").exists()


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
