import pytest

from mcltoolkit.engine.config import check_writable, load_config
from mcltoolkit.errors import ConfigError, PluginError


def test_every_shipped_config_reads(root):
    files = sorted((root / "configs").glob("*.py"))
    assert len(files) >= 4
    for file in files:
        config = load_config(file)
        assert config.model.type == "ExemplarGAN"
        assert config.work_dir == f"work_dirs/{file.stem}"


def test_options_override_and_losses_can_be_dropped(tiny_config):
    config = load_config(
        tiny_config, {"train_cfg.max_iters": 3, "model.losses.mcl": None}, work_dir="elsewhere"
    )
    assert config.train_cfg.max_iters == 3
    assert config.model.losses.mcl is None
    assert config.work_dir == "elsewhere"


@pytest.mark.parametrize(
    "options",
    [
        {"model.losses.per": {"type": "PerceptualLoss", "weight": 2}},
        {"model.losses.per.type": "PerceptualLoss", "model.losses.per.weight": 2},
    ],
)
def test_options_switch_on_what_the_config_switched_off(tiny_config, options):
    assert load_config(tiny_config).model.losses.per is None
    config = load_config(tiny_config, options)
    assert config.model.losses.per == {"type": "PerceptualLoss", "weight": 2}


def test_options_that_do_not_fit_are_an_error(tiny_config):
    with pytest.raises(
        ConfigError, match=r"--cfg-options do not fit .*tiny_scenes\.py: .*max_iters"
    ):
        load_config(tiny_config, {"train_cfg.max_iters.more": 1})


def test_adam_gets_both_betas_as_floats(root):
    for file in (root / "configs").glob("*.py"):
        for side in load_config(file).optim_wrapper.values():
            if isinstance(side, dict):
                assert [type(beta) for beta in side.optimizer.betas] == [float, float]


def test_no_setting_is_named_freeze(root):
    """mmengine's Config has a method of that name."""

    def keys(node):
        if isinstance(node, dict):
            for key, value in node.items():
                yield key
                yield from keys(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                yield from keys(value)

    for file in (root / "configs").glob("*.py"):
        found = set(keys(load_config(file)._cfg_dict.to_dict()))
        assert "weight" in found
        assert "freeze" not in found


def test_missing_config_names_near_files(root):
    with pytest.raises(ConfigError, match="did you mean 'mclnet_scenes.py'"):
        load_config(root / "configs" / "mclnet_scene.py")


def test_broken_config_is_named(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("model = dict(\n")
    with pytest.raises(ConfigError, match=r"broken\.py cannot be read: SyntaxError"):
        load_config(file)


def test_unknown_option_is_named(tiny_config):
    with pytest.raises(ConfigError, match="no setting 'modell'; did you mean 'model'"):
        load_config(tiny_config, {"modell.x": 1})


def test_data_root_reaches_every_loader(root):
    config = load_config(root / "configs" / "mclnet_ade20k.py", data_root="disk/ade")
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert config[name].dataset.data_root == "disk/ade"


def test_data_root_without_a_use_is_an_error(tiny_config):
    with pytest.raises(ConfigError, match="no data set .* has a data_root"):
        load_config(tiny_config, data_root="disk")


def test_vgg_weights(root, tiny_config):
    config = load_config(root / "configs" / "mclnet_ade20k.py", vgg_weights="random")
    assert config.model.vgg.weights == "random"
    with pytest.raises(ConfigError, match=r"sets no model\.vgg"):
        load_config(tiny_config, vgg_weights="random")


def test_plugin_named_in_the_config_must_load(tiny_config):
    with pytest.raises(PluginError, match="not_a_module"):
        load_config(tiny_config, {"plugins": ["not_a_module"]})


def test_work_dir_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written .*--work-dir"):
        check_writable(tmp_path / "file" / "work")
