"""Unreadable samples in a training: skipped, named in its log, counted; or the end of it."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.hooks.skipped import SkippedSamplesHook
from mcltoolkit.engine.launch import train
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.testing.ranks import ranks


@pytest.fixture
def job(tmp_path, tiny_config):
    """Settings of a training on eight pictures, the third of which is cut off."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    for kind in ("images", "annotations"):
        (root / kind / "training").mkdir(parents=True)
    for name in "abcdefgh":
        image, labels = (root / kind / "training" / f"{name}.png" for kind in (
            "images", "annotations"))  # fmt: skip
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(image)
        Image.fromarray(rng.integers(0, 6, (32, 32), dtype=np.uint8)).save(labels)
    broken = root / "images" / "training" / "c.png"
    broken.write_bytes(broken.read_bytes()[:1000])

    def settings(work_dir, on_error, iterations=8, **further):
        config = load_config(
            tiny_config,
            {
                "train_cfg.max_iters": iterations,
                "val_dataloader": None, "val_cfg": None, "val_evaluator": None,
                "vis_backends": [dict(type="LocalVisBackend")],
                "visualizer.vis_backends": [dict(type="LocalVisBackend")],
                "default_hooks.checkpoint.interval": 2,
                "log_level": "WARNING",
                "custom_hooks": [dict(type="LossAuditHook"), dict(type="PlainCheckpointHook"),
                                 dict(type="SkippedSamplesHook", interval=2)],
                **further,
            },
            work_dir=str(tmp_path / work_dir),
        )  # fmt: skip
        loader = config.train_dataloader
        loader.update(on_error=on_error, num_workers=1, persistent_workers=True)
        loader.dataset = dict(type="FolderDataset", data_root=str(root), num_classes=6)
        return config

    return settings, broken


def weights(folder, step):
    return torch.load(folder / f"iter_{step}.pth", weights_only=True)["state_dict"]


def test_a_training_goes_on_without_the_file_and_says_so(job, tmp_path):
    settings, broken = job
    runner = train(settings("whole", "skip"))
    assert runner.iter == 8
    log = next((tmp_path / "whole").glob("*/*.log")).read_text()
    assert log.count(f"image {broken} is unreadable or truncated") >= 3  # two epochs, the summary
    assert "1 samples were unreadable and skipped" in log
    scalars = next((tmp_path / "whole").glob("*/vis_data/scalars.json")).read_text().splitlines()
    counts = [json.loads(line)["skipped_samples"] for line in scalars]
    assert counts[-1] == runner.train_dataloader.replaced >= 2
    # resumed in the middle of an epoch: the same samples, the same weights
    other = tmp_path / "half"
    train(settings("half", "skip", iterations=8))
    for step in (8,):
        (other / f"iter_{step}.pth").unlink()
    shutil.rmtree(other / "vis_data", ignore_errors=True)
    train(settings("half", "skip"), resume=str(other / "iter_6.pth"))
    ours, theirs = weights(other, 8), weights(tmp_path / "whole", 8)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_by_default_it_stops_and_names_the_file(job):
    settings, broken = job
    with pytest.raises(DataError, match=f"image {broken} is unreadable or truncated"):
        train(settings("stop", None))


def test_an_evaluation_never_skips(job):
    settings, _ = job
    config = settings("val", "stop")
    config.val_dataloader = copy.deepcopy(config.test_dataloader)
    config.val_dataloader.on_error = "skip"
    config.val_cfg, config.val_evaluator = {}, config.test_evaluator
    with pytest.raises(ConfigError, match="val_dataloader.on_error is 'skip'"):
        train(config)


def exchanged():
    """What each rank's log receives, and what each has of the other."""
    import logging
    from types import SimpleNamespace

    import torch.distributed as dist

    from mcltoolkit.data.error_policy import ErrorPolicy, Incident
    from mcltoolkit.data.loader import WatchedLoader

    rank, lines = dist.get_rank(), []
    loader = WatchedLoader.__new__(WatchedLoader)
    loader.__dict__.update(
        guard=SimpleNamespace(policy=ErrorPolicy("skip")),
        replaced=1,
        skipped={rank + 5: Incident(rank + 5, f"sample {rank + 5}", "cut off", 0)},
    )
    logger = logging.getLogger("exchanged")
    logger.addHandler(handler := logging.Handler())
    handler.emit = lambda record: lines.append(record.getMessage())
    scalars = SimpleNamespace(update_scalar=lambda name, value: None)
    runner = SimpleNamespace(train_dataloader=loader, logger=logger, message_hub=scalars)
    hook = SkippedSamplesHook(interval=2)
    for iteration in range(4):
        hook.after_train_iter(runner, iteration)
    hook.after_train(runner)
    logger.removeHandler(handler)
    return lines, sorted(hook.all)


def test_the_first_rank_names_what_others_skipped_once():
    (first, known), (second, also) = ranks().run(exchanged)
    assert known == also == [5, 6]
    assert not second
    assert len([line for line in first if line.startswith("data, rank 1: sample 6")]) == 1
    assert not [line for line in first if "rank 0" in line]  # it has said so itself
    assert "2 samples were unreadable" in first[-1]
