import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from torch import nn

from mcltoolkit.engine.hooks import PlainCheckpointHook
from mcltoolkit.engine.hooks.checkpoint import plain, strip_wrappers
from mcltoolkit.errors import ConfigError


def saved_and_loaded(checkpoint):
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_log_buffers_survive_a_weights_only_load():
    buffer = HistoryBuffer([1.0, 2.0, 4.0], [1, 1, 2])
    checkpoint = {
        "state_dict": {"weight": torch.ones(2)},
        "meta": {"iter": np.int64(3), "names": ("a", np.str_("b")), "grid": np.arange(3)},
        "message_hub": {"log_scalars": {"loss": buffer}},
    }
    hook = PlainCheckpointHook()
    config = Config(dict(model=dict(type="Some", betas=(0.0, 0.9), layers=[nn.Linear, None])))
    runner = SimpleNamespace(model=nn.Linear(1, 1), cfg=config)
    hook.before_save_checkpoint(runner, checkpoint)
    loaded = saved_and_loaded(checkpoint)
    hook.after_load_checkpoint(runner, loaded)
    restored = loaded["message_hub"]["log_scalars"]["loss"]
    assert isinstance(restored, HistoryBuffer)
    assert restored.data[0].tolist() == [1.0, 2.0, 4.0]
    assert restored.data[1].tolist() == [1, 1, 2]
    assert loaded["meta"]["iter"] == 3
    assert loaded["meta"]["names"] == ("a", "b")
    assert loaded["meta"]["grid"].tolist() == [0, 1, 2]
    assert loaded["config"] == {
        "model": {
            "type": "Some",
            "betas": (0.0, 0.9),
            "layers": ["torch.nn.modules.linear.Linear", None],
        }
    }


def test_a_config_that_cannot_be_saved_is_refused_before_the_training():
    runner = SimpleNamespace(cfg={"model": {"layer": [nn.Linear(1, 1)]}})
    with pytest.raises(ConfigError, match=r"model\.layer\[0\] is an object of Linear"):
        PlainCheckpointHook().before_run(runner)


def test_absent_parts_keep_their_weights_and_are_named():
    said = []
    model = nn.ModuleDict({"translator": nn.Linear(1, 1), "discriminator": nn.Linear(1, 1)})
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(warning=said.append))
    state = {"translator.weight": torch.ones(1, 1), "translator.bias": torch.ones(1)}
    checkpoint = {"state_dict": state, "absent": ["discriminator"]}
    own = model["discriminator"].weight.clone()
    PlainCheckpointHook().after_load_checkpoint(runner, checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    assert torch.equal(model["discriminator"].weight, own)
    assert torch.equal(model["translator"].weight, torch.ones(1, 1))
    assert said == ["the checkpoint holds no discriminator: it keeps its initial weights"]


def test_plain_keeps_tensors_and_numbers():
    value = {"a": [1, 2.5, torch.ones(1)], "b": (None, "text")}
    assert plain(value) == value


def test_only_the_wrapped_childs_module_prefix_is_stripped(monkeypatch):
    model = nn.Module()
    model.generator = nn.Linear(1, 1)
    model.module = nn.Linear(1, 1)
    wrapped = {id(model.generator)}
    monkeypatch.setattr(
        "mcltoolkit.engine.hooks.checkpoint.is_model_wrapper", lambda m: id(m) in wrapped
    )
    state = {"generator.module.module.weight": 1, "module.weight": 2, "counter": 3}
    assert strip_wrappers(model, state) == {
        "generator.module.weight": 1,
        "module.weight": 2,
        "counter": 3,
    }
