"""The commands and examples of docs/translate.md, with a small untrained model of the scenes."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.cli import main
from mcltoolkit.data import SyntheticScenes
from mcltoolkit.engine.config import load_config
from mcltoolkit.registry import MODELS
from mcltoolkit.visualization.images import to_uint8

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "translate.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]  # fmt: skip
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the files that the page names: conditions, photos with labels, a checkpoint."""
    folder = tmp_path_factory.mktemp("page")
    scenes = SyntheticScenes(split="test", length=4, size=(32, 32))
    config = load_config(ROOT / "tests" / "configs" / "tiny_scenes.py")
    torch.manual_seed(0)
    weights = MODELS.build(config.model).state_dict()
    torch.save(
        {
            "config": config._cfg_dict.to_dict(),
            "state_dict": weights,
            "meta": {"dataset_meta": scenes.metainfo},
        },
        folder / "checkpoint.pth",
    )
    for name in ("frames", "conditions", "photos", "photo_labels"):
        (folder / name).mkdir()

    def save(sample, labels, photo, photo_labels):
        Image.fromarray(sample.labels.numpy().astype(np.uint8)).save(folder / labels)
        Image.fromarray(to_uint8(sample.exemplar)).save(folder / photo)
        theirs = sample.exemplar_labels.numpy().astype(np.uint8)
        Image.fromarray(theirs).save(folder / photo_labels)

    save(scenes[0], "condition.png", "exemplar.jpg", "exemplar_labels.png")
    save(scenes[1], "frames/1.png", "other.jpg", "other_labels.png")
    for k in (2, 3):
        save(scenes[k], f"conditions/s{k}.png", f"photos/s{k}.jpg", f"photo_labels/s{k}.png")
    Image.open(folder / "frames" / "1.png").save(folder / "frames" / "2.png")
    (folder / "exemplars.txt").write_text("s2.jpg,s3.jpg\ns3.jpg,s2.jpg\n")
    return folder


def test_the_page_s_commands_work(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    said = []
    for line in COMMANDS:
        program, *words = shlex.split(line)
        assert program == "mcltoolkit"
        main([*words, "--device", "cpu"])
        said.append(capsys.readouterr().out)
    assert len(COMMANDS) == 9
    for name in ("output", "warped", "blend", "regions", "small"):
        assert Image.open(place / f"{name}.png").size == (32, 32), name
    assert "translated at 50x37: the size asked for" in said[-1]
    for name, count in {"outputs": 2, "by_name": 2, "by_list": 2, "steps": 5, "video": 2}.items():
        assert len(list((place / name).glob("*.png"))) == count, name
    assert Image.open(place / "steps.webp").n_frames == 5
    output, blend, regions = (
        np.array(Image.open(place / f"{name}.png")) for name in ("output", "blend", "regions")
    )
    assert not np.array_equal(output, blend)
    assert not np.array_equal(output, regions)
    first = np.array(Image.open(place / "steps" / "condition_1.png"))
    assert np.array_equal(first, output)


def test_the_page_s_examples_work(place):
    expected = ["", "[(32, 32, 3), (32, 32, 3)]\n", "5 2\n"]
    assert len(EXAMPLES) == len(expected)
    (place / "output.png").unlink(missing_ok=True)
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "\nprint('next')\n".join(EXAMPLES)],
        cwd=place, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "next\n".join(expected)
    assert Image.open(place / "output.png").size == (32, 32)


def test_options_of_the_page_exist_and_the_other_way_round(capsys):
    with pytest.raises(SystemExit):
        main(["translate", "--help"])
    listed = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    named = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert named == listed


def test_the_page_s_numbers(place):
    from mcltoolkit import load_model
    from mcltoolkit.inference.command import STEADINESS

    assert (
        f"`model.exemplars.limit` ({load_model(place / 'checkpoint.pth').exemplars.limit})" in PAGE
    )
    assert f"s = {STEADINESS}" in PAGE
    assert f"{(1 - STEADINESS) / (1 + STEADINESS) ** 0.5:.2f} by theory" in PAGE
