import base64
import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.hooks import GridHook, ReportHook
from mcltoolkit.errors import ConfigError
from mcltoolkit.files import write_json
from mcltoolkit.visualization import condition_picture, prediction_grid
from mcltoolkit.visualization.images import png_bytes
from mcltoolkit.visualization.record import read_record


class Told:
    per_class = {3: {"hits": 1, "transferred": 2, "true": 4}}

    def passports(self):
        return {"psnr": {"protocol": "psnr-1", "samples": 4}}


@pytest.fixture
def predictions(tiny_gan, scenes):
    return tiny_gan().eval().test_step(scenes(4))


@pytest.fixture
def runner(tmp_path):
    shown = []
    data = SimpleNamespace(dataset=SyntheticScenes(num_classes=6, size=(32, 32), length=4))
    return SimpleNamespace(
        work_dir=str(tmp_path / "work"),
        iter=12,
        val_dataloader=data,
        test_dataloader=data,
        test_loop=SimpleNamespace(evaluator=SimpleNamespace(metrics=[Told(), object()])),
        visualizer=SimpleNamespace(add_image=lambda name, image, step: shown.append((image, step))),
        logger=logging.getLogger("pictures"),
        shown=shown,
        palette=data.dataset.metainfo["palette"],
    )


def read(path):
    return cv2.imread(str(path))[:, :, ::-1]


def test_the_grid_shows_the_first_samples_of_all_batches(runner, predictions, tmp_path):
    hook = GridHook(samples=3)
    for _ in range(2):  # the second validation starts afresh
        hook.before_val_epoch(runner)
        hook.after_val_iter(runner, 0, outputs=predictions[:2])
        hook.after_val_iter(runner, 1, outputs=predictions[2:])
        hook.after_val_epoch(runner, {})
        expected = prediction_grid(predictions[:3], runner.palette)
        assert np.array_equal(read(tmp_path / "work/grids/iter_000012.png"), expected)
        image, step = runner.shown.pop()
        assert np.array_equal(image, expected)
        assert step == 12


def test_dense_conditions_are_shown_as_the_data_set_says(runner, predictions, tmp_path):
    dense = [replace(p, labels=None) for p in predictions[:2]]
    data = SimpleNamespace(dataset=SimpleNamespace(metainfo={"shown_channels": (1,)}))
    runner.val_dataloader = runner.test_dataloader = data
    expected = prediction_grid(dense, shown_channels=(1,))
    assert not np.array_equal(expected, prediction_grid(dense))
    grid, report = GridHook(), ReportHook(out_dir=str(tmp_path / "out"))
    grid.after_val_iter(runner, 0, outputs=dense)
    grid.after_val_epoch(runner, {})
    assert np.array_equal(runner.shown[0][0], expected)
    report.after_test_iter(runner, 0, outputs=dense)
    report.after_test_epoch(runner, {})
    assert np.array_equal(read(tmp_path / "out/grid.png"), expected)
    shown = condition_picture(dense[0], shown_channels=(1,))
    text = base64.b64encode(png_bytes(shown)).decode()
    assert text in (tmp_path / "out/report.html").read_text()


def test_predictions_of_an_aborted_validation_are_forgotten(runner, predictions):
    hook = GridHook(samples=1)
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, outputs=predictions[:1])
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, outputs=predictions[1:])
    hook.after_val_epoch(runner)
    (image, _), expected = runner.shown[0], prediction_grid(predictions[1:2], runner.palette)
    assert np.array_equal(image, expected)


def test_other_ranks_write_nothing(runner, predictions, tmp_path, monkeypatch):
    for module in ("pictures", "report"):
        monkeypatch.setattr(f"mcltoolkit.engine.hooks.{module}.is_main_process", lambda: False)
    grid, report = GridHook(), ReportHook(out_dir=str(tmp_path / "out"))
    grid.after_val_iter(runner, 0, outputs=predictions)
    grid.after_val_epoch(runner, {})
    report.after_test_iter(runner, 0, outputs=predictions)
    report.after_test_epoch(runner, {"psnr": 1.0})
    assert list(tmp_path.iterdir()) == []
    assert runner.shown == []


def test_a_test_leaves_metrics_grid_and_report(runner, predictions, tmp_path):
    out = tmp_path / "new" / "out"
    hook = ReportHook(out_dir=str(out), samples=2, title="Tiny & small", facts={"steps": 77})
    hook.before_test_epoch(runner)
    hook.after_test_iter(runner, 0, outputs=predictions)
    hook.after_test_epoch(runner, {"psnr": np.float32(12.5), "label_accuracy": 1})
    assert {p.name for p in out.iterdir()} == {
        "metrics.json",
        "label_transfer.json",
        "grid.png",
        "report.html",
        "record",
    }
    classes = json.loads((out / "label_transfer.json").read_text())
    assert classes == {"3": {"hits": 1, "transferred": 2, "true": 4}}
    assert json.loads((out / "metrics.json").read_text()) == {
        "format": 1,
        "metrics": {
            "label_accuracy": {"value": 1.0, "passport": {"protocol": "unknown"}},
            "psnr": {"value": 12.5, "passport": {"protocol": "psnr-1", "samples": 4}},
        },
    }
    expected = prediction_grid(predictions[:2], runner.palette)
    assert np.array_equal(read(out / "grid.png"), expected)
    report = (out / "report.html").read_text()
    assert "Tiny &amp; small" in report
    assert "12.5" in report
    assert "77" in report
    assert predictions[0].name in report
    assert predictions[2].name not in report


def test_a_test_that_is_stopped_leaves_no_mixture_with_an_earlier_one(
    runner, predictions, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    first, second = (ReportHook(out_dir=str(out), samples=2) for _ in range(2))
    first.after_test_iter(runner, 0, outputs=predictions[:2])
    first.after_test_epoch(runner, {"psnr": 1.0})
    assert (out / "label_transfer.json").is_file()

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mcltoolkit.engine.hooks.report.write_results", stopped)
    second.after_test_iter(runner, 0, outputs=predictions[2:])
    with pytest.raises(KeyboardInterrupt):
        second.after_test_epoch(runner, {"psnr": 2.0})
    assert not (out / "label_transfer.json").exists()
    assert not (out / "record" / "samples.json").exists()


def test_samples_of_one_name_are_all_recorded(runner, predictions, tmp_path):
    twins = [replace(p, name="twin", exemplar_name="") for p in predictions[:2]]
    hook = ReportHook(out_dir=str(tmp_path / "out"), samples=2)
    hook.after_test_iter(runner, 0, outputs=twins)
    hook.after_test_epoch(runner, {})
    assert [s.name for s in read_record(tmp_path / "out" / "record").samples] == ["twin", "twin"]


def test_the_work_directory_is_the_reports_default_place(runner, predictions, tmp_path):
    hook = ReportHook()
    hook.after_test_iter(runner, 0, outputs=predictions[:1])
    hook.after_test_epoch(runner, None)
    assert (tmp_path / "work" / "report.html").is_file()


def test_values_that_json_cannot_hold_leave_the_old_file(tmp_path):
    file = tmp_path / "metrics.json"
    write_json(file, {"psnr": 1.0})
    with pytest.raises(TypeError):
        write_json(file, {"psnr": object()})
    assert json.loads(file.read_text()) == {"psnr": 1.0}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("samples", [0, -3])
@pytest.mark.parametrize("kind", [GridHook, ReportHook])
def test_pictures_of_no_samples_are_refused(kind, samples):
    with pytest.raises(ConfigError, match=f"samples is {samples}; .*>= 1"):
        kind(samples=samples)
