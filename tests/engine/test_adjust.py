import pytest

from mcltoolkit.engine.adjust import adjusted_by
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain
from mcltoolkit.errors import PluginError

LONGER = """
    @hookimpl
    def adjust_config(config):
        config.train_cfg.max_iters = max(100, config.train_cfg.max_iters)
        config.model.losses.mcl.weight = 0.5
        config.custom_hooks = [h for h in config.custom_hooks if h["type"] != "GridHook"]
"""


def test_a_plugin_has_the_last_word_and_explain_says_so(load_plugin, tiny_config, tmp_path):
    before = load_config(tiny_config)
    assert adjusted_by(before) == {}
    load_plugin("longer", LONGER)
    options = {"model.losses.mcl.weight": 3.0, "model.losses.mcl.margin": 0.1}
    config = load_config(tiny_config, options)
    assert config.train_cfg.max_iters == 100
    assert config.model.losses.mcl.weight == 0.5
    origins = {s.key: str(s.origin) for s in explain(tiny_config, options).settings}
    assert origins["train_cfg.max_iters"] == "plugin longer"
    assert origins["model.losses.mcl.weight"] == "plugin longer"
    assert origins["model.losses.mcl.margin"] == "--cfg-options"
    assert "tiny_scenes.py:" in origins["train_cfg.val_interval"]
    written = tmp_path / "written.py"
    config.dump(written)
    assert "longer" not in written.read_text()
    assert load_config(written, work_dir=config.work_dir)._cfg_dict == config._cfg_dict


def test_plugins_adjust_in_the_order_of_loading(load_plugin, tiny_config):
    for name, weight in (("b_first", 2), ("a_second", 7)):
        load_plugin(
            name,
            f"""
            @hookimpl
            def adjust_config(config):
                config.model.losses.mcl.weight = {weight}
                config.{name} = True
            """.replace("config.a_second", "assert config.b_first; config.a_second"),
        )
    config = load_config(tiny_config)
    assert config.model.losses.mcl.weight == 7
    key = ("model", "losses", "mcl", "weight")
    assert adjusted_by(config)[key] == "a_second"
    assert adjusted_by(config)[("b_first",)] == "b_first"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("config.no_such.setting = 1", r"its adjust_config raised AttributeError: .*no_such"),
        ("config.train_cfg.max_iters *= 2", r"changes train_cfg\.max_iters again"),
    ],
)
def test_a_config_that_is_not_adjusted_rightly_is_an_error(load_plugin, tiny_config, code, said):
    file = load_plugin("wrong", f"@hookimpl\ndef adjust_config(config):\n    {code}\n")
    with pytest.raises(PluginError, match=rf"plugin 'wrong' \(config, {file}.*{said}.*take it out"):
        load_config(tiny_config)
