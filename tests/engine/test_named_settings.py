import pytest

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.named_settings import setting
from mcltoolkit.errors import ConfigError, DataError


def test_errors_are_put_down_to_the_setting():
    message = r"setting a.b is 3, which cannot be used: KeyError: 'x'"
    with pytest.raises(ConfigError, match=message), setting("a.b", 3):
        raise KeyError("x")
    with pytest.raises(DataError, match="^as it is$"), setting("a.b"):
        raise DataError("as it is")
    with setting("a.b"):
        pass


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"env_cfg.mp_cfg": 3}, "setting env_cfg is"),
        ({"log_level": "LOUD"}, "setting log_level is 'LOUD'"),
        ({"log_processor.window_size": "x"}, "setting log_processor is .*window_size is 'x'"),
        ({"visualizer.vis_backends": 3}, "setting visualizer is"),
        ({"param_scheduler.constants": 0.5}, "setting param_scheduler is .*constants"),
        ({"val_evaluator": [dict(type="ImageQuality", x=1)]}, "val_evaluator or test_evaluator"),
        ({"custom_hooks": [dict(type="GridHook", x=1)]}, "custom_hooks is .*GridHook"),
        ({"default_hooks.timer": dict(type="IterTimerHook", x=1)}, "default_hooks or custom_hooks"),
        ({"optim_wrapper.generator.optimizer.lr": -1}, "optim_wrapper.generator.optimizer .*-1"),
        ({"optim_wrapper.generator": 3}, "optim_wrapper.generator is 3"),
        ({"train_cfg.val_interval": "x"}, "train_cfg.val_interval is 'x'"),
        ({"train_cfg.max_iters": 1e30}, r"train_cfg.max_iters is 1e\+30"),
        ({"train_cfg.strange": 1}, "setting train_cfg is .*strange"),
        ({"val_cfg": dict(strange=1)}, "setting val_cfg is .*strange"),
        ({"train_dataloader.sampler": None}, "sampler of a data loader is None"),
        ({"train_dataloader.shufle": True}, "data loader of SyntheticScenes.*shufle"),
        ({"model.generator.base_width": "x"}, r"model.generator \(type 'SPADEGenerator'\)"),
    ],
)
def test_each_builder_names_its_own(tiny_config, tmp_path, option, message):
    quiet = {"vis_backends": [], "visualizer.vis_backends": [], "log_level": "ERROR"}
    quiet |= {"default_hooks.checkpoint": None, "train_cfg.max_iters": 1}
    config = load_config(tiny_config, {**quiet, **option}, work_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=message):
        train(config)
