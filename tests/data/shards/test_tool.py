"""tools/make_shards.py: a folder into shards that a training reads."""

import json
import runpy
import sys

import numpy as np
from PIL import Image


def test_shards_of_a_config_and_then_their_index(root, tmp_path, monkeypatch, capsys):
    data, rng = tmp_path / "data", np.random.default_rng(0)
    for kind in ("images", "annotations"):
        (data / kind / "training").mkdir(parents=True)
    for name in "abcd":
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
            data / "images" / "training" / f"{name}.jpg"
        )
        Image.fromarray(rng.integers(0, 6, (8, 8), dtype=np.uint8)).save(
            data / "annotations" / "training" / f"{name}.png"
        )
    config = tmp_path / "job.py"
    config.write_text(
        "_base_ = 'mcltoolkit::_base_/runtime.py'\n"
        "train_dataloader = dict(dataset=dict(type='FolderDataset', data_root='x', num_classes=6))"
    )
    out = tmp_path / "out"

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_shards.py", *map(str, arguments)])
        try:
            runpy.run_path(str(root / "tools" / "make_shards.py"), run_name="__main__")
        except SystemExit as end:
            return end.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    status, shown, _ = run(config, "--data-root", data, "--out", out)
    assert status == 0
    assert "4 samples in 1 shards" in shown
    content = (out / "training.json").read_text()
    assert len(json.loads(content)["samples"]) == 4
    status, _, told = run(config, "--data-root", data, "--out", out)
    assert status == 2
    assert "nothing was written" in told
    (out / "training.json").unlink()
    status, _, _ = run("--index", out, "--split", "training")
    assert status == 0
    assert (
        json.loads((out / "training.json").read_text())["samples"]
        == (json.loads(content)["samples"])
    )
