import os

import pytest
import torch
from mmengine.runner import Runner

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
from mcltoolkit.engine.runner import TranslationRunner
from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.structures import Batch


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A runner after one step, with its checkpoint."""
    config = load_config(
        os.path.join(os.path.dirname(__file__), "..", "configs", "tiny_scenes.py"),
        {
            "train_cfg.max_iters": 1,
            "default_hooks.checkpoint.interval": 1,
            "custom_hooks": [],
            "vis_backends": [],
            "visualizer.vis_backends": [],
            "val_dataloader": None,
            "val_cfg": None,
            "val_evaluator": None,
            "log_level": "ERROR",
        },
        work_dir=str(tmp_path_factory.mktemp("work")),
    )
    return train(config)


@pytest.fixture
def checkpoint(trained):
    """The checkpoint's path-free content, to be spoilt."""
    return torch.load(os.path.join(trained.work_dir, "iter_1.pth"), weights_only=True)


@pytest.fixture
def load(trained, tmp_path):
    def run(content):
        file = tmp_path / "spoilt.pth"
        torch.save(content, file)
        return trained.load_checkpoint(str(file))

    return run


def test_what_was_saved_is_loaded(trained, checkpoint, load):
    saved = {name: value.clone() for name, value in trained.model.state_dict().items()}
    with torch.no_grad():
        for value in trained.model.parameters():
            value.zero_()
    load(checkpoint)
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, saved[name]), name
        assert torch.equal(value, checkpoint["state_dict"][name]), name


def test_a_missing_key_is_an_error(checkpoint, load):
    name, _ = checkpoint["state_dict"].popitem()
    with pytest.raises(WeightsError, match=rf"spoilt.pth cannot be used[\s\S]*{name}"):
        load(checkpoint)


def test_an_unexpected_key_is_an_error(checkpoint, load):
    checkpoint["state_dict"]["translator.stranger"] = torch.ones(1)
    with pytest.raises(WeightsError, match="translator.stranger"):
        load(checkpoint)


def test_the_keys_of_a_wrapped_model_are_an_error(checkpoint, load):
    """mmengine would log them and go on with random weights."""
    state = checkpoint["state_dict"]
    renamed = {k.replace("translator.", "translator.module."): v for k, v in state.items()}
    with pytest.raises(WeightsError, match="translator.module."):
        load({**checkpoint, "state_dict": renamed})


def test_another_shape_is_an_error(checkpoint, load):
    state = checkpoint["state_dict"]
    name = "translator.correspondence.theta.bias"
    state[name] = torch.zeros(len(state[name]) + 1)
    with pytest.raises(WeightsError, match=rf"{name}[\s\S]*trained with this config"):
        load(checkpoint)


class Payload:
    """Content that only an unsafe load would run."""

    ran = False

    def __reduce__(self):
        return _run, ()


def _run():
    Payload.ran = True


def test_content_other_than_plain_values_is_refused(checkpoint, load):
    with pytest.raises(
        WeightsError, match=r"spoilt.pth holds pickled objects \(\S+_run\).*strip_checkpoint"
    ):
        load({**checkpoint, "extra": Payload()})
    assert not Payload.ran


def test_files_that_are_no_checkpoint(trained, tmp_path):
    with pytest.raises(WeightsError, match="none.pth does not exist; give the path of"):
        trained.load_checkpoint(str(tmp_path / "none.pth"))
    with pytest.raises(WeightsError, match="does not exist"):
        trained.load_checkpoint(str(tmp_path))
    for content in (b"", b"no zip archive", b"PK\x03\x04" + bytes(100)):
        (tmp_path / "broken.pth").write_bytes(content)
        with pytest.raises(
            WeightsError, match=r"broken.pth (is empty|cannot be read|is truncated)"
        ):
            trained.load_checkpoint(str(tmp_path / "broken.pth"))


def test_a_failing_save_leaves_the_old_file_and_no_partial_one(trained, tmp_path, monkeypatch):
    trained.save_checkpoint(str(tmp_path), "iter_1.pth")
    old = (tmp_path / "iter_1.pth").read_bytes()
    written = []

    def full_disk(checkpoint, file):
        written.append(file.name)
        file.write(old[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mcltoolkit.engine.files.torch.save", full_disk)
    with pytest.raises(
        ConfigError, match=r"iter_1.pth could not be saved.*No space left.*--resume"
    ):
        trained.save_checkpoint(str(tmp_path), "iter_1.pth")
    assert written != [str(tmp_path / "iter_1.pth")]
    assert [p.name for p in tmp_path.iterdir()] == ["iter_1.pth"]
    assert (tmp_path / "iter_1.pth").read_bytes() == old


def test_a_save_replaces_the_old_file_when_it_is_whole(trained, tmp_path):
    target = tmp_path / "iter_1.pth"
    target.write_bytes(b"old")
    trained.save_checkpoint(str(tmp_path), "iter_1.pth", by_epoch=False)
    assert [p.name for p in tmp_path.iterdir()] == ["iter_1.pth"]
    assert torch.load(target, weights_only=True)["meta"]["iter"] == trained.iter + 1


def test_other_ranks_save_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "_rank", 1)
    trained.save_checkpoint(str(tmp_path), "iter_1.pth")
    assert list(tmp_path.iterdir()) == []


def test_loaders_give_batches(trained):
    batch = next(iter(trained.train_dataloader))
    assert isinstance(batch, Batch)
    assert batch.truth.shape == (2, 3, 32, 32)


def test_runs_of_one_second_keep_their_logs_apart(trained, monkeypatch, tmp_path):
    real = Runner.setup_env

    def same_second(self, env_cfg):
        real(self, env_cfg)
        self._timestamp = "20260101_000000"

    monkeypatch.setattr(Runner, "setup_env", same_second)
    places = []
    for name in ("one", "other"):
        config = trained.cfg.copy()
        config.work_dir = str(tmp_path / name)
        config.vis_backends = [dict(type="LocalVisBackend")]
        config.visualizer.vis_backends = config.vis_backends
        runner = TranslationRunner.from_cfg(config)
        runner.visualizer.add_scalar("x", 1.0)
        places.append(
            (runner.timestamp, runner.visualizer, sorted((tmp_path / name).rglob("scal*")))
        )
    (first, ours, _), (second, theirs, files) = places
    assert (first, second) == ("20260101_000000", "20260101_000000_2")
    assert ours is not theirs
    assert [file.parent.parent.name for file in files] == [second]
