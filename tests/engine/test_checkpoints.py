import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from mcltoolkit.engine.checkpoints import (
    keep_absent_parts,
    latest_checkpoint,
    newest_whole,
    plain,
    rebuild_logs,
    strip_wrappers,
)
from mcltoolkit.engine.files import save_whole
from mcltoolkit.errors import ConfigError, WeightsError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def test_the_latest_checkpoint_has_the_largest_number(tmp_path):
    touch(tmp_path, "iter_900.pth", "iter_1000.pth", "iter_20.pth")
    touch(tmp_path, ".iter_2000.pth.77.tmp", "best_psnr_iter_3000.pth", "iter_9000/x.pth")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "iter_1000.pth")


def test_files_of_the_users_own_are_no_checkpoints(tmp_path):
    touch(tmp_path, "iter_7.pth", "iter_final.pth", "iter_9_copy.pth")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "iter_7.pth")


def test_nothing_to_resume(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match=rf"nothing to resume: {folder} holds no iter_N"):
            latest_checkpoint(folder)
        assert newest_whole(folder) == (None, [])


def test_the_newest_whole_checkpoint_is_found_and_broken_ones_are_named(tmp_path):
    for step in (2, 4, 6, 8):
        save_whole({"step": step}, tmp_path / f"iter_{step}.pth")
    whole = (tmp_path / "iter_8.pth").read_bytes()
    (tmp_path / "iter_8.pth").write_bytes(whole[:-500])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    (tmp_path / "iter_6.pth").write_bytes(flipped)
    found, skipped = newest_whole(tmp_path)
    assert found == str(tmp_path / "iter_4.pth")
    assert ["iter_8.pth is truncated" in skipped[0], "iter_6.pth is damaged" in skipped[1]] == [
        True,
        True,
    ]
    for step in (2, 4):
        (tmp_path / f"iter_{step}.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"none of the 4 checkpoints.* is whole[\s\S]*0 bytes"):
        newest_whole(tmp_path)


def test_log_buffers_survive_a_weights_only_load():
    buffer = HistoryBuffer([1.0, 2.0, 4.0], [1, 1, 2])
    checkpoint = {
        "meta": {"iter": np.int64(3), "names": ("a", np.str_("b")), "grid": np.arange(3)},
        "message_hub": {"log_scalars": {"loss": buffer}},
    }
    file = io.BytesIO()
    torch.save(plain(checkpoint), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    rebuild_logs(loaded)
    restored = loaded["message_hub"]["log_scalars"]["loss"]
    assert isinstance(restored, HistoryBuffer)
    assert restored.data[0].tolist() == [1.0, 2.0, 4.0]
    assert restored.data[1].tolist() == [1, 1, 2]
    assert loaded["meta"]["iter"] == 3
    assert loaded["meta"]["names"] == ("a", "b")
    assert loaded["meta"]["grid"].tolist() == [0, 1, 2]


def test_absent_parts_keep_their_weights_and_are_named():
    said = []
    model = nn.ModuleDict({"translator": nn.Linear(1, 1), "discriminator": nn.Linear(1, 1)})
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(warning=said.append))
    state = {"translator.weight": torch.ones(1, 1), "translator.bias": torch.ones(1)}
    checkpoint = {"state_dict": state, "absent": ["discriminator"]}
    own = model["discriminator"].weight.clone()
    keep_absent_parts(runner, checkpoint)
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
        "mcltoolkit.engine.checkpoints.is_model_wrapper", lambda m: id(m) in wrapped
    )
    state = {"generator.module.module.weight": 1, "module.weight": 2, "counter": 3}
    assert strip_wrappers(model, state) == {
        "generator.module.weight": 1,
        "module.weight": 2,
        "counter": 3,
    }
