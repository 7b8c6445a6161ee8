"""What the runner prepares before an evaluation."""

from types import SimpleNamespace

import pytest

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks.evaluation import described_dataset
from mcltoolkit.engine.launch import test as run_test
from mcltoolkit.engine.launch import train
from mcltoolkit.errors import DataError
from mcltoolkit.metrics import ImageQuality, SampleMetric
from mcltoolkit.metrics.results import read_results
from mcltoolkit.registry import METRICS

PLAIN = {"custom_hooks": [], "visualizer.vis_backends": [], "log_level": "ERROR"}


@pytest.fixture
def metrics(monkeypatch):
    """A metric that refuses small data sets, and one that fails in the first evaluation."""
    measured = []

    class Choosy(SampleMetric):
        def check_size(self, size):
            if size < 6:
                raise DataError(f"{size} samples are too few")

        def measure(self, samples):
            measured.extend(samples)
            return [{} for _ in samples]

    class Once(ImageQuality):
        def process(self, data_batch, data_samples):
            super().process(data_batch, data_samples)
            if not measured:
                measured.extend(data_samples)
                raise ZeroDivisionError

    for kind in (Choosy, Once):
        monkeypatch.setitem(METRICS.module_dict, kind.__name__, kind)
    return measured


@pytest.fixture
def config(tiny_config, tmp_path):
    def load(**options):
        return load_config(tiny_config, {**PLAIN, **options}, work_dir=str(tmp_path / "work"))

    return load


def test_a_data_set_that_a_metric_refuses_stops_before_anything_is_done(metrics, config, tmp_path):
    with pytest.raises(DataError, match="val_evaluator: 4 samples are too few"):
        train(config(val_evaluator=[{"type": "ImageQuality"}, {"type": "Choosy"}]))
    assert not list((tmp_path / "work").glob("*.pth"))
    with pytest.raises(DataError, match="test_evaluator: 5 samples are too few"):
        run_test(config(test_evaluator=[{"type": "Choosy"}]), None)
    assert not metrics, "nothing was measured"


def test_an_evaluation_that_broke_leaves_nothing_to_the_next(metrics, config):
    from mcltoolkit.engine.runner import TranslationRunner

    options = {"test_evaluator": [{"type": "Once"}], "train_dataloader": None, "train_cfg": None,
               "optim_wrapper": None, "param_scheduler": None, "val_dataloader": None,
               "val_cfg": None, "val_evaluator": None}  # fmt: skip
    runner = TranslationRunner.from_cfg(config(**options))
    with pytest.raises(ZeroDivisionError):
        runner.test()
    (metric,) = runner.test_loop.evaluator.metrics
    assert len(metric.results) == 2
    second = runner.test_loop.run()
    assert second == runner.test_loop.run()
    assert metric.samples == 5


def test_passports_tell_data_set_split_and_length(config, tmp_path):
    warped = {"test_dataloader.dataset.exemplar": "warped", "test_dataloader.dataset.warp": 0.1}
    evaluators = [{"type": "PCK"}, {"type": "ImageQuality"}]
    run_test(config(test_evaluator=evaluators, **warped), None, out_dir=str(tmp_path / "out"))
    results = read_results(tmp_path / "out" / "metrics.json")
    assert {r.passport["data"] for r in results.values()} == {
        "SyntheticScenes, split test, 5 samples"
    }
    told = results["pck@0.1"].passport["known_match"]
    assert told == SyntheticScenes("test", 5, exemplar="warped", warp=0.1).metainfo["known_match"]
    assert "strength 0.1, seed 0" in told
    assert "known_match" not in results["psnr"].passport
    assert "known_match" not in SyntheticScenes("test", 5).metainfo


def test_a_data_set_is_described_by_what_it_has():
    class Stream(SimpleNamespace):
        def __len__(self):
            return 3

    assert described_dataset(Stream()) == "Stream, 3 samples"
    wrapped = Stream(dataset=Stream(), split="validation", data_root="/data")
    assert described_dataset(wrapped) == "Stream, split validation, 3 samples, of /data"
