"""The work of one run, in this process: the imports are what costs time."""

import json
import shutil

import pytest
import torch

from mcltoolkit.ablation.results import read_result, trained
from mcltoolkit.ablation.worker import prepare, work
from mcltoolkit.errors import DataError


@pytest.fixture
def runs(content, planned):
    content["groups"] = {}
    content["options"] |= {"train_cfg.max_iters": 4, "log_level": "ERROR"}
    return planned(content)[1]


def weights(run):
    return torch.load(run.train_dir / "iter_4.pth", weights_only=True)["state_dict"]


def test_a_run_trains_tests_and_is_not_made_twice(runs, content, planned):
    run = runs[0]
    prepare(run)
    work(run.folder)
    result = read_result(run)
    assert 0 <= result.metrics["scenes/label_accuracy"] <= 1
    assert result.metrics["self/psnr_copy_exemplar"] == 100, "there the exemplar is the truth"
    assert result.metrics["scenes/psnr_copy_exemplar"] < 40
    assert result.steps == 4
    told = json.loads(run.result_file.read_text())
    assert (told["row"], told["seed"], told["fingerprint"]) == ("full", 0, run.fingerprint)
    assert (run.folder / "step").read_text().endswith(" 4")
    assert trained(run)["checkpoint"] == "iter_4.pth"

    before = (run.train_dir / "iter_4.pth").stat().st_mtime_ns
    first = run.evaluations[0].metrics_file.stat().st_mtime_ns
    content["evaluations"]["self"]["test_dataloader.dataset.length"] = 1
    _, changed = planned(content)
    assert changed[0].folder == run.folder
    assert read_result(changed[0]) is None
    prepare(changed[0])
    work(run.folder)
    assert (run.train_dir / "iter_4.pth").stat().st_mtime_ns == before, "not trained again"
    assert run.evaluations[0].metrics_file.stat().st_mtime_ns == first, "nor tested again"
    other = read_result(changed[0]).metrics
    assert other["self/psnr"] != result.metrics["self/psnr"]
    assert other["scenes/psnr"] == result.metrics["scenes/psnr"]


def test_an_interrupted_run_goes_on_from_its_checkpoint(runs, tmp_path):
    run = runs[0]
    prepare(run)
    work(run.folder)
    whole, metrics = weights(run), read_result(run).metrics
    middle = tmp_path / "iter_2.pth"
    shutil.copy(run.train_dir / "iter_2.pth", middle)
    shutil.rmtree(run.folder)

    prepare(run)
    run.train_dir.mkdir()
    shutil.copy(middle, run.train_dir)
    work(run.folder)
    resumed = weights(run)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    assert read_result(run).metrics == metrics
    assert read_result(run).train_seconds is None, "what it took before is not known"


def test_seeds_train_other_networks(runs):
    one, other = runs[0], runs[3]
    for run in (one, other):
        prepare(run)
        work(run.folder)
    first, second = weights(one), weights(other)
    name = next(n for n, value in first.items() if n.endswith("weight") and value.dim() == 4)
    assert not torch.equal(first[name], second[name])
    copies = [read_result(run).metrics["scenes/psnr_copy_exemplar"] for run in (one, other)]
    assert copies[0] == copies[1], "the held-out scenes are the same"
    assert read_result(one).metrics["scenes/psnr"] != read_result(other).metrics["scenes/psnr"]


def test_a_failing_run_says_what_failed(content, planned, monkeypatch):
    from mcltoolkit.ablation import worker

    content["groups"] = {}
    _, runs = planned(content)
    prepare(runs[0])

    def fail(*args, **kwargs):
        raise DataError("picture a.png is broken\nand more")

    monkeypatch.setattr(worker, "train", fail)
    monkeypatch.setattr(worker, "_end_with_parent", lambda: None)
    with pytest.raises(SystemExit) as ended:
        worker.main(runs[0].folder)
    assert ended.value.code == 1
    told = json.loads((runs[0].folder / "failed.json").read_text())
    assert told == {"error": "DataError: picture a.png is broken"}
