"""What a training leaves to look at: scalars of the match, curves, TensorBoard."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mcltoolkit.engine import hooks
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks import CurvesHook, collapse
from mcltoolkit.engine.launch import train
from mcltoolkit.errors import ConfigError
from mcltoolkit.visualization.scalars import find_scalars, read_scalars

TINY = Path(__file__).resolve().parents[2] / "configs" / "tiny_scenes.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    tmp_path, measured = tmp_path_factory.mktemp("trained"), []

    def counted(match):
        entropy, coverage = real(match)
        measured.append((float(entropy.mean()), float(coverage.mean())))
        return entropy, coverage

    real = collapse.match_entropy
    config = load_config(TINY, {"train_cfg.max_iters": 4}, work_dir=str(tmp_path / "work"))
    config.train_cfg.val_interval = 2
    config.default_hooks.logger.interval = 2
    for hook in config.custom_hooks:
        if hook["type"] == "CollapseAlarmHook":
            hook["interval"] = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collapse, "match_entropy", counted)
        train(config)
    return tmp_path / "work", measured


def test_match_entropy_is_measured_once_and_found_everywhere(trained):
    work, measured = trained
    assert len(measured) == 2, "every second of four steps, for the alarm and the record together"
    scalars = read_scalars(find_scalars(work))
    (events,) = work.glob("*/vis_data/events.out.tfevents.*")
    board = EventAccumulator(str(events), size_guidance={"images": 0})
    board.Reload()
    for place, name in enumerate(("alarm/match_entropy", "alarm/match_coverage")):
        expected = [pytest.approx(values[place], rel=1e-4) for values in measured]
        assert scalars[name].steps == [2, 4]
        assert scalars[name].values == expected
        assert [(e.step, e.value) for e in board.Scalars(name)] == list(
            zip((2, 4), expected, strict=True)
        )
    assert scalars["psnr"].steps == [2, 4], "validations stand at their training step"
    assert [e.step for e in board.Scalars("psnr")] == [2, 4]
    assert [image.step for image in board.Images("translation")] == [2, 4]


def test_curves_are_on_the_disk_after_a_validation(trained):
    work, _ = trained
    svg = (work / "curves.svg").read_text()
    titles = set(re.findall(r"<!-- ([a-z0-9_ .]+) -->", svg))
    assert {"loss", "match entropy", "match coverage", "psnr", "label accuracy"} <= titles
    assert not {t for t in titles if "lr" in t.split(".")}
    assert {p.name for p in (work / "grids").iterdir()} == {"iter_000002.png", "iter_000004.png"}
    assert json.loads(find_scalars(work)[0].read_text().splitlines()[0])["step"] == 2


def test_without_scalars_there_are_no_curves(tmp_path):
    CurvesHook().after_val_epoch(SimpleNamespace(work_dir=str(tmp_path)), {})
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_of_an_earlier_run_does_not_end_a_training(tmp_path):
    folder = tmp_path / "20200101_000000" / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text('{"step": 1, "lo\n{"step": 2, "loss": 1.0}\n')
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcltoolkit.engine.hooks.pictures.print_log", lambda *a: told.append(a[0]))
        hook = CurvesHook()
        for _ in range(2):
            hook.after_val_epoch(SimpleNamespace(work_dir=str(tmp_path)), {})
    (message,) = told
    assert "scalars.json, line 1" in message


def test_every_config_draws_curves_and_places_metrics_at_their_step(root):
    config = Config.fromfile(root / "configs" / "_base_" / "runtime.py")
    types = [hook["type"] for hook in config.custom_hooks]
    assert {"GridHook", "CurvesHook", "CollapseAlarmHook"} <= set(types)
    assert all(hasattr(hooks, name) for name in types)
    assert config.default_hooks.logger.log_metric_by_epoch is False


def test_a_backend_that_is_not_installed_names_its_extra(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = load_config(tiny_config, work_dir=str(tmp_path))
    config.visualizer.vis_backends.append(dict(type="WandbVisBackend"))
    with pytest.raises(ConfigError, match=r"pip install 'mcltoolkit\[wandb\]'"):
        train(config)
