"""tools/convert_checkpoint.py and tools/translate.py, and what the other tools make of the file."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.engine.launch import read_metrics
from mcltoolkit.inference import load_model, translate

CONVERT, TRANSLATE = "tools/convert_checkpoint.py", "tools/translate.py"


@pytest.fixture
def released(cocosnet, tmp_path):
    """Options that name the small released files of a task with 6 condition channels."""
    states = cocosnet.make(**cocosnet.TASKS["celebahq"])
    options = []
    for network, label in (("generator", "G"), ("alignment", "Corr")):
        torch.save(states[network], tmp_path / f"latest_net_{label}.pth")
        options += [f"--{network}", tmp_path / f"latest_net_{label}.pth"]
    return ["--task", "celebahq", *options, "--out", tmp_path / "ours.pth"]


@pytest.fixture
def pictures(tmp_path):
    """Options that name a condition, an exemplar and its condition, 32 x 32."""
    labels = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32) // 8 % 6
    Image.fromarray(labels).save(tmp_path / "c.png")
    Image.fromarray(np.stack([40 * labels] * 3, -1)).save(tmp_path / "e.png")
    names = [tmp_path / name for name in ("c.png", "e.png", "c.png")]
    flags = ("--condition", "--exemplar", "--exemplar-condition")
    return [word for pair in zip(flags, names, strict=True) for word in pair]


def test_convert_translate_test_and_train_on(
    released, pictures, cocosnet, tool, tiny_config, tmp_path
):
    said = tool(sys.executable, CONVERT, *released).stdout
    assert "discriminator: none given; a training starts with a fresh one" in said
    out = tmp_path / "deep" / "o.png"
    said = tool(sys.executable, TRANSLATE, tmp_path / "ours.pth", *pictures, "--out", out).stdout
    assert "translated at 32x32: own size of the condition; the model's test" in said
    assert Image.open(out).size == (32, 32)

    config = torch.load(tmp_path / "ours.pth", weights_only=True)["config"]
    model = {**config["model"], "vgg": None}
    model["losses"] = {name: config["model"]["losses"][name] for name in ("adv", "fcst")}
    model["discriminator"] = dict(type="MultiScaleDiscriminator", base_width=4, layers=2, scales=1)
    lines = [
        f"_base_ = {str(tiny_config)!r}",
        f"model = dict(_delete_=True, **{model!r})",
        "train_cfg = dict(max_iters=1)",
        "default_hooks = dict(checkpoint=dict(interval=1))",
        f"load_from = {str(tmp_path / 'ours.pth')!r}",
    ]
    (tmp_path / "config.py").write_text("\n".join(lines))
    done = tool(
        sys.executable, "tools/test.py", tmp_path / "config.py", tmp_path / "ours.pth",
        "--work-dir", tmp_path / "work",
    )  # fmt: skip
    assert "holds no discriminator: it keeps its initial weights" in done.stdout + done.stderr
    assert "psnr" in read_metrics(tmp_path / "work" / "test" / "metrics.json")
    tool(sys.executable, "tools/train.py", tmp_path / "config.py", "--work-dir", tmp_path / "work")
    trained = torch.load(tmp_path / "work" / "iter_1.pth", weights_only=True)["state_dict"]
    start = torch.load(tmp_path / "ours.pth", weights_only=True)["state_dict"]
    for key, value in start.items():
        if not key.endswith(("._u", "._v")):  # power iterations move these further than a step
            assert (trained[key] - value).abs().max() < 0.01, key
    tool(sys.executable, CONVERT, "--to-cocosnet", tmp_path / "f", tmp_path / "work" / "iter_1.pth")
    back = torch.load(tmp_path / "f" / "latest_net_G.pth", weights_only=True)
    assert back.keys() == cocosnet.make(**cocosnet.TASKS["celebahq"])["generator"].keys()


def test_a_trained_checkpoint_translates_with_its_average(
    train, tool, tiny_config, pictures, tmp_path
):
    hooks = "[dict(type='EMAHook',decay=0.5)]"
    (tmp_path / "ema.py").write_text(f"_base_ = {str(tiny_config)!r}\ncustom_hooks = {hooks}\n")
    tool(
        sys.executable, "tools/train.py", tmp_path / "ema.py", "--work-dir", tmp_path,
        "--cfg-options", "train_cfg.max_iters=2",
    )  # fmt: skip
    tool(sys.executable, TRANSLATE, tmp_path / "iter_2.pth", *pictures, "--out", tmp_path / "a.png")
    content = torch.load(tmp_path / "iter_2.pth", weights_only=True)
    assert content["config"]["model"]["type"] == "ExemplarGAN"
    average = content.pop("ema_state_dict")
    pixels = []
    for _ in range(2):  # with the trained weights, then with the average in their place
        torch.save(content, tmp_path / "one.pth")
        model = load_model(tmp_path / "one.pth", "cpu")
        condition, exemplar, theirs = pictures[1::2]
        result = translate(condition, exemplar, model, exemplar_condition=theirs)
        pixels.append(result.array.astype(int))
        for key in content["state_dict"]:
            name = key.replace("translator", "module", 1)
            content["state_dict"][key] = average.get(name, content["state_dict"][key])
    painted = np.array(Image.open(tmp_path / "a.png")).astype(int)
    assert abs(painted - pixels[1]).max() <= 1
    assert abs(painted - pixels[0]).max() > 1


def test_mistakes_end_with_a_message(released, pictures, tool, tmp_path):
    state = torch.load(tmp_path / "latest_net_Corr.pth", weights_only=True)
    state["surplus.weight"] = state.pop("phi.weight")
    torch.save(state, tmp_path / "latest_net_Corr.pth")
    cases = {
        "missing    phi.weight": (CONVERT, *released),
        "needs --task, --generator": (CONVERT, "--alignment", "x", "--out", "y"),
        "carries no config": (
            TRANSLATE, tmp_path / "latest_net_G.pth", *pictures, "--out", tmp_path / "o.png",
        ),
        "--warped and --out are both": (
            TRANSLATE, "x.pth", *pictures, "--out", tmp_path / "o.png",
            "--warped", tmp_path / "." / "f" / ".." / "o.png",
        ),
        "--out and --exemplar are both": (
            TRANSLATE, "x.pth", *pictures, "--out", tmp_path / "e.png",
        ),
        "is no .png file name": (TRANSLATE, "x.pth", *pictures, "--out", tmp_path / "o.jpg"),
    }  # fmt: skip
    for words, command in cases.items():
        done = tool(sys.executable, *command, ok=False)
        assert done.returncode == 2, command
        assert words in done.stderr, command
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "ours.pth").exists()
