import copy

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mcltoolkit.engine import deferred_log
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.deferred_log import DeferredMessageHub
from mcltoolkit.engine.launch import train


def hubs():
    names = [f"test {np.random.default_rng().integers(1 << 40)}" for _ in range(2)]
    return DeferredMessageHub(names[0]), MessageHub(names[1])


LOGGED = [
    ("loss", torch.tensor(0.1)),
    ("rate", 1e-4),
    ("loss", torch.tensor(0.2, dtype=torch.bfloat16)),
    ("skipped", 3),
    ("loss", np.float32(0.3)),
    ("skipped", torch.tensor([4])),
    ("loss", torch.tensor([[0.5]], dtype=torch.float64, requires_grad=True)),
    ("late", torch.tensor(True)),
]


def test_histories_are_those_of_mmengines_hub(monkeypatch):
    monkeypatch.setattr(deferred_log, "PENDING", 3)  # taken in twice on the way
    ours, theirs = hubs()
    for _ in range(2):
        for key, value in LOGGED:
            for hub in (ours, theirs):
                hub.update_scalar(key, value, count=2)
    assert list(ours.log_scalars) == list(theirs.log_scalars)
    for key, buffer in theirs.log_scalars.items():
        for one, other in zip(ours.get_scalar(key).data, buffer.data, strict=True):
            assert one.dtype == other.dtype
            assert one.tolist() == other.tolist()
    saved = ours.state_dict()
    assert saved["resumed_keys"] == theirs.state_dict()["resumed_keys"]
    assert isinstance(saved["log_scalars"]["loss"], HistoryBuffer)


def test_a_value_is_read_when_somebody_asks(monkeypatch):
    hub, _ = hubs()
    reads = []
    read = deferred_log._read
    monkeypatch.setattr(deferred_log, "_read", lambda values: reads.append(1) or read(values))
    for step in range(5):
        hub.update_scalar("loss", torch.tensor(float(step)))
        hub.update_scalar("time", 0.5)
    assert hub.get_scalar("time").mean(5) == 0.5
    with pytest.raises(KeyError, match="nothing is logged as 'lost'"):
        hub.get_scalar("lost")
    reads.clear()
    assert not reads
    assert hub.get_scalar("loss").mean(5) == 2
    assert reads == [1]


def test_a_piece_of_a_large_tensor_does_not_keep_it():
    hub, _ = hubs()
    large = torch.arange(1000.0)
    hub.update_scalar("loss", large[7])
    large.zero_()
    assert hub._pending[0][1].untyped_storage().nbytes() < 100
    assert hub.get_scalar("loss").current() == 7


def test_old_values_go_where_a_history_is_full():
    hub, _ = hubs()
    hub.update_scalar("loss", 0.0)
    hub.get_scalar("loss").max_length = 3
    for step in range(1, 5):
        hub.update_scalar("loss", float(step))
    assert hub.get_scalar("loss").data[0].tolist() == [2, 3, 4]


def test_what_is_no_number_is_refused():
    with pytest.raises(AssertionError):
        hubs()[0].update_scalar("loss", torch.zeros(2))


def test_a_training_logs_the_same(tiny_config, tmp_path, monkeypatch):
    """Checkpoints hold the histories; the log is read at its interval, not at each step."""
    from mcltoolkit.engine.runner import TranslationRunner

    options = {"train_cfg.max_iters": 3, "default_hooks.logger.interval": 3, "log_level": "ERROR"}
    histories, reads = [], []
    read = deferred_log._read

    def counted(values):
        reads.append(sum(isinstance(value, torch.Tensor) for value in values))
        return read(values)

    monkeypatch.setattr(deferred_log, "_read", counted)
    for name in ("deferred", "plain"):
        if name == "plain":
            monkeypatch.setattr(
                TranslationRunner, "build_message_hub",
                lambda self: MessageHub.get_instance(self._experiment_name),
            )  # fmt: skip
        config = load_config(tiny_config, copy.deepcopy(options), work_dir=str(tmp_path / name))
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
        config.default_hooks.checkpoint.interval = 3
        train(config)
        saved = torch.load(tmp_path / name / "iter_3.pth", weights_only=True)
        histories.append(saved["message_hub"]["log_scalars"])
    ours, theirs = histories
    assert ours.keys() == theirs.keys()
    for key in ours:
        if "time" not in key:
            assert str(ours[key]) == str(theirs[key])
    losses = [key for key in ours if "loss" in key]
    assert [count for count in reads if count] == [3 * len(losses)], "three steps at once"
