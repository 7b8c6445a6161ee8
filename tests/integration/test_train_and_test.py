"""The real commands on the tiny scenes."""

import sys

import pytest
import torch

from mcltoolkit.engine.launch import read_metrics

pytestmark = pytest.mark.integration


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def largest_difference(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max(float((ours[k].double() - theirs[k].double()).abs().max()) for k in ours)


def test_train_then_resume_equals_an_uninterrupted_run_then_test(
    train, tool, tiny_config, tmp_path
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole)
    assert {p.name for p in whole.glob("*.pth")} == {"iter_2.pth", "iter_4.pth", "iter_6.pth"}
    assert {p.name for p in (whole / "grids").iterdir()} == {"iter_000003.png", "iter_000006.png"}
    assert list(whole.glob("*/vis_data/events.out.tfevents.*")), "TensorBoard file"
    assert not list(whole.glob(".*partial"))

    parts.mkdir()
    (parts / "iter_4.pth").write_bytes((whole / "iter_4.pth").read_bytes())
    done = train(parts, "--resume")
    assert "iter: 4" in done.stdout + done.stderr
    checkpoint = torch.load(parts / "iter_6.pth", weights_only=True)
    assert checkpoint["meta"]["iter"] == 6
    assert largest_difference(weights(whole / "iter_6.pth"), checkpoint["state_dict"]) == 0.0

    tool(sys.executable, "tools/test.py", tiny_config, whole / "iter_6.pth", "--work-dir", whole)
    metrics = read_metrics(whole / "test" / "metrics.json")
    assert {"psnr", "psnr_copy_exemplar", "label_accuracy"} <= set(metrics)
    assert 0 <= metrics["label_accuracy"] <= 1
    report = (whole / "test" / "report.html").read_text()
    assert f"{metrics['psnr']:.2f}" in report
    assert "http://" not in report.replace("http://www.w3.org", "")


def test_amp_changes_the_precision_and_still_trains(train, tmp_path):
    train(tmp_path, "--amp", "--cfg-options", "train_cfg.max_iters=2")
    state = torch.load(tmp_path / "iter_2.pth", weights_only=True)
    assert all(torch.isfinite(v).all() for v in state["state_dict"].values())
    assert "loss_scaler" in state["optimizer"]["generator"]


def test_average_of_weights_is_saved_and_used(train, tool, tiny_config, tmp_path):
    hooks = "[dict(type='EMAHook',decay=0.5)]"
    (tmp_path / "ema.py").write_text(f"_base_ = {str(tiny_config)!r}\ncustom_hooks = {hooks}\n")
    tool(
        sys.executable, "tools/train.py", tmp_path / "ema.py", "--work-dir", tmp_path / "work",
        "--cfg-options", "train_cfg.max_iters=4",
    )  # fmt: skip
    first = torch.load(tmp_path / "work/iter_2.pth", weights_only=True)
    last = torch.load(tmp_path / "work/iter_4.pth", weights_only=True)
    name = "generator.conv_img.weight"
    if f"translator.{name}" not in last["state_dict"]:
        name = next(k for k in last["ema_state_dict"] if k.endswith("bias")).removeprefix("module.")
    average = last["ema_state_dict"][f"module.{name}"]
    assert int(last["ema_state_dict"]["n_averaged"]) == 4
    assert not torch.equal(average, last["state_dict"][f"translator.{name}"])
    assert not torch.equal(average, first["ema_state_dict"][f"module.{name}"])
    done = tool(
        sys.executable, "tools/test.py", tmp_path / "ema.py", tmp_path / "work/iter_4.pth",
        "--work-dir", tmp_path / "work",
    )  # fmt: skip
    assert "psnr" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["model.losses.mcl.type=MarginalContrastivLoss"],
            "did you mean 'MarginalContrastiveLoss'",
        ),
        (["train_dataloader.dataset.size=(30,32)"], "30"),
        (["model.losses.per.type=PerceptualLoss", "model.losses.per.weight=1"], "model.vgg"),
        (["model.condition_channels=5"], "allowed are 0..4"),
    ],
)
def test_a_users_mistake_ends_with_a_message_and_no_traceback(train, tmp_path, options, words):
    done = train(tmp_path, "--cfg-options", *options, ok=False)
    assert done.returncode == 2, done.stderr[-3000:]
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_loss_that_moves_nothing_stops_the_training(train, tmp_path):
    done = train(
        tmp_path,
        "--cfg-options",
        "model.losses.mcl.margin=0",
        "model.losses.mcl.positions=1",
        ok=False,
    )
    assert done.returncode == 2, "one position has no negatives: the loss is always zero"
    assert "losses ['mcl'] have a non-zero weight but send no gradient" in done.stderr
    assert not list(tmp_path.glob("*.pth"))


def test_resume_and_checkpoints_that_cannot_be_used(train, tool, tiny_config, tmp_path):
    done = train(tmp_path / "empty", "--resume", ok=False)
    assert done.returncode == 2
    assert "nothing to resume" in done.stderr
    train(tmp_path / "work", "--cfg-options", "train_cfg.max_iters=2")
    good = tmp_path / "work" / "iter_2.pth"

    def test_it(path, *options):
        done = tool(
            sys.executable, "tools/test.py", tiny_config, path, "--work-dir", tmp_path / "t",
            *options, ok=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr[-3000:]
        return done.stderr

    assert "does not exist" in test_it(tmp_path / "none.pth")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(good.read_bytes()[:-2000])
    assert "broken.pth is truncated" in test_it(broken)
    state = torch.load(good, weights_only=True)
    renamed = state["state_dict"].popitem()[0]
    torch.save(state, broken)
    assert renamed in test_it(broken)
