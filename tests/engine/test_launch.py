import os
import runpy
import sys

import pytest

from mcltoolkit.engine import launch
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.files import save_whole
from mcltoolkit.engine.launch import read_metrics, run_tool, scalars_file
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.results import Result, write_results


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def test_the_newest_log_is_found(tmp_path):
    assert scalars_file(tmp_path) is None
    logs = [f"2025010{day}_000000/vis_data/scalars.json" for day in (2, 3, 1)]
    touch(tmp_path, *logs)
    assert scalars_file(tmp_path) == str(tmp_path / logs[1])


def test_metrics_are_read_as_written(tmp_path):
    written = {"psnr": Result(12.25, {"protocol": "psnr-1"}), "ssim": Result(0.5)}
    write_results(tmp_path / "metrics.json", written)
    assert read_metrics(tmp_path / "metrics.json") == {"psnr": 12.25, "ssim": 0.5}


def test_a_users_mistake_ends_a_tool_with_status_2_and_its_message(capsys):
    def main():
        raise DataError("a.png is truncated")

    with pytest.raises(SystemExit) as ended:
        run_tool(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "DataError: a.png is truncated\n"


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_tool(lambda: 1 / 0)


@pytest.fixture
def built(monkeypatch):
    """The configs that runners would be built from."""
    configs = []

    class Runner:
        hooks = []

        @staticmethod
        def from_cfg(config):
            configs.append(config)
            return Runner()

        def train(self):
            pass

        def test(self):
            return {"psnr": 1.0}

    monkeypatch.setattr(launch, "TranslationRunner", Runner)
    return configs


@pytest.fixture
def config(tiny_config, tmp_path):
    return load_config(tiny_config, work_dir=str(tmp_path / "work"))


def kinds(config):
    return [hook["type"] for hook in config.custom_hooks]


def test_training_leaves_the_callers_config_alone(built, config, monkeypatch):
    before = config.pretty_text
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    launch.train(config, amp=True)
    launch.test(config, None)
    assert config.pretty_text == before
    sides = built[0].optim_wrapper
    assert sides.generator.type == sides.discriminator.type == "AutocastOptimWrapper"
    assert "type" not in config.optim_wrapper.generator
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE", "for processes that it starts"


@pytest.mark.parametrize("given", [True, "other/iter_3.pth"])
def test_resuming_takes_the_newest_or_the_given_checkpoint(built, config, tmp_path, given):
    for number in (2, 10):
        save_whole({}, tmp_path / "work" / f"iter_{number}.pth")
    launch.train(config, resume=given)
    assert built[0].resume is True
    newest = str(tmp_path / "work" / "iter_10.pth")
    assert built[0].load_from == (newest if given is True else given)


def test_a_test_has_the_report_and_no_training(built, config, tmp_path):
    config.custom_hooks.append({"type": "EMAHook"})
    metrics = launch.test(config, "some.pth", title="T", facts={"a": 1}, samples=3)
    (used,) = built
    assert metrics == {"psnr": 1.0}
    assert used.load_from == "some.pth"
    assert used.resume is False
    for name in ("train_cfg", "train_dataloader", "optim_wrapper", "val_cfg", "val_dataloader"):
        assert used[name] is None
    report = used.custom_hooks[-1]
    assert report.type == "ReportHook"
    assert report.out_dir == str(tmp_path / "work" / "test")
    assert (report.title, report.samples) == ("T", 3)
    assert report.facts == {"checkpoint": "some.pth", "a": 1}
    assert "EMAHook" in kinds(used)


def test_an_untrained_network_has_no_average(built, config, tmp_path):
    config.custom_hooks.append({"type": "EMAHook"})
    launch.test(config, None, out_dir=str(tmp_path / "out"))
    assert "EMAHook" not in kinds(built[0])
    assert built[0].load_from is None
    assert built[0].custom_hooks[-1].facts == {"checkpoint": "none (untrained)"}


def test_several_ranks_get_a_wrapper_for_each_child(built, config, monkeypatch):
    joined = []
    monkeypatch.setattr(launch, "init_process_group", lambda *given: joined.append(given))
    monkeypatch.setattr(launch.torch.cuda, "is_available", lambda: False)
    config.launcher = "pytorch"
    launch.train(config)
    config.env_cfg.dist_cfg.timeout = 60
    config.model_wrapper_cfg = {"type": "SeparateFSDP", "units": ["Conv"]}
    launch.train(config)
    assert joined == [("pytorch", None), ("pytorch", 60)]
    assert built[0].model_wrapper_cfg == {"type": "mcltoolkit.SeparateDDP", "device_ids": None}
    assert built[1].model_wrapper_cfg == {"type": "mcltoolkit.SeparateFSDP", "units": ["Conv"]}


def test_one_process_needs_no_wrapper(built, config):
    config.model_wrapper_cfg = {"type": "SeparateFSDP"}
    launch.train(config)
    assert "model_wrapper_cfg" not in built[0]


def test_activation_checkpointing_is_the_toolkits_own(built, config):
    config.activation_checkpointing = ["translator.generator"]
    launch.train(config)
    assert "activation_checkpointing" not in built[0], "mmengine's Runner would take it up"
    hook = built[0].custom_hooks[0]
    assert hook == {"type": "RecomputeHook", "modules": ["translator.generator"]}
    assert len(built[0].custom_hooks) == len(config.custom_hooks) + 1


def test_more_ranks_than_gpus_is_an_error(built, config, monkeypatch):
    monkeypatch.setattr(launch, "init_process_group", lambda *given: None)
    monkeypatch.setattr(launch.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(launch.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    config.launcher = "pytorch"
    with pytest.raises(ConfigError, match="rank 2 of this node finds only 2 GPUs"):
        launch.train(config)
    monkeypatch.setenv("LOCAL_RANK", "1")
    launch.train(config)
    assert len(built) == 1


@pytest.mark.parametrize("main_process", [True, False])
def test_only_the_main_process_prints_the_table(
    built, tiny_config, tmp_path, root, monkeypatch, capsys, main_process
):
    arguments = ["test.py", tiny_config, "some.pth", "--work-dir", tmp_path / "work"]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
    monkeypatch.setattr("mmengine.dist.is_main_process", lambda: main_process)
    runpy.run_path(str(root / "tools" / "test.py"))["main"]()
    assert ("psnr" in capsys.readouterr().out) is main_process
