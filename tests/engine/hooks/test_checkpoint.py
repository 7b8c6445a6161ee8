import io
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from mcltoolkit.engine.hooks import PlainCheckpointHook
from mcltoolkit.engine.hooks.checkpoint import plain, strip_wrappers


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
    runner = SimpleNamespace(model=nn.Linear(1, 1))
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
