import pytest

from mcltoolkit.ablation.results import failure_file, read_result, state, trained
from mcltoolkit.ablation.worker import prepare
from mcltoolkit.engine.config import load_config
from mcltoolkit.files import write_json

METRICS = {"scenes/label_accuracy": 0.5, "self/psnr": 20.0}


@pytest.fixture
def run(content, planned):
    _, runs = planned(content)
    return runs[0]


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


def test_a_run_is_finished_when_all_its_tests_are(run, finish):
    assert state(run).kind == "to do"
    assert state(run).why == "not run yet"
    finish(run, METRICS)
    assert read_result(run).metrics == METRICS
    assert state(run).kind == "finished"
    write_json(run.result_file, {"steps": 7, "train_seconds": 1.5})
    assert (read_result(run).steps, read_result(run).train_seconds) == (7, 1.5)
    run.evaluations[1].metrics_file.write_text("")  # as a power cut leaves it
    assert read_result(run) is None


def test_an_interrupted_run_says_from_where_it_goes_on(run):
    touch(run.train_dir / "log")
    assert state(run).why == "was interrupted before its first checkpoint, starts again"
    touch(run.train_dir / "iter_20.pth")
    touch(run.train_dir / "iter_100.pth")
    assert state(run).why == "was interrupted, goes on from iter_100"


def test_a_trained_run_lacks_only_tests(run, finish):
    run.folder.mkdir(parents=True)
    write_json(run.folder / "trained.json", {"checkpoint": "iter_2.pth"})
    assert trained(run) is None, "the weights are gone"
    touch(run.train_dir / "iter_2.pth")
    assert trained(run) == {"checkpoint": "iter_2.pth"}
    finish(run, METRICS)
    run.evaluations[1].metrics_file.unlink()
    assert state(run).why == "test self: not run yet"


def test_a_changed_test_says_what_changed(content, planned, finish):
    _, runs = planned(content)
    prepare(runs[0])
    touch(runs[0].train_dir / "iter_2.pth")
    write_json(runs[0].folder / "trained.json", {"checkpoint": "iter_2.pth"})
    finish(runs[0], METRICS)
    content["evaluations"]["self"]["test_dataloader.dataset.length"] = 1
    _, runs = planned(content)
    assert state(runs[0]).why == "test self: changed: test_dataloader.dataset.length: 2 -> 1"


def test_a_changed_training_says_what_changed(content, planned, finish):
    _, runs = planned(content)
    prepare(runs[0])
    finish(runs[0], METRICS)
    content["options"] |= {"train_cfg.max_iters": 4, "model.losses.cyc.weight": 2,
                           "train_dataloader.batch_size": 1, "log_level": "ERROR"}  # fmt: skip
    _, runs = planned(content)
    why = state(runs[0]).why
    assert why.startswith("changed: ")
    assert "train_cfg.max_iters: 2 -> 4" in why
    assert why.endswith(" and 1 more")
    assert len(why.split(", ")) == 3


def test_a_failure_is_told_with_its_log(run):
    run.folder.mkdir(parents=True)
    write_json(failure_file(run), {"error": "DataError: no file"})
    assert state(run).kind == "failed"
    assert state(run).why == f"DataError: no file (log: {run.log_file})"


def test_what_is_saved_beside_a_result_trains_by_itself(run):
    prepare(run)
    config = load_config(run.folder / "config.py")
    assert config.model == run.settings["model"]
    assert config.randomness.seed == run.seed
    tested = load_config(run.evaluations[1].folder / "config.py")
    assert tested.test_dataloader.dataset.exemplar == "self"


def test_files_that_lack_what_they_should_tell_count_as_absent(run):
    run.folder.mkdir(parents=True)
    write_json(failure_file(run), {})
    assert state(run).kind == "to do"
    for told in ({"a": 1}, {"checkpoint": None}):
        write_json(run.folder / "trained.json", told)
        assert trained(run) is None
        assert state(run).why == "not run yet"
