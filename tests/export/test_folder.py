"""The folder: whole or not at all, and what its card and io.json say."""

import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from mcltoolkit import inference
from mcltoolkit.errors import ConfigError
from mcltoolkit.export import export_model, folder

PLAIN = ("torch-export",)


def test_files_are_named_with_their_hashes(exported):
    for family in ("scenes", "deepfashion"):
        _, out = exported(family)
        content = json.loads((out / "io.json").read_text())
        named = {}
        for facts in content["files"].values():
            assert all(0 <= value <= 1e-4 for value in facts["deviation"].values())
            named |= {name: entry["sha256"] for name, entry in facts["files"].items()}
        assert named == {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in out.iterdir()
            if file.name not in ("README.md", "io.json")
        }
        assert all(digest in (out / "README.md").read_text() for digest in named.values())


def test_the_card_has_front_matter_classes_terms_and_networks(exported):
    checkpoint, out = exported("scenes")
    text = (out / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "library_name": "mcltoolkit",
        "pipeline_tag": "image-to-image",
        "tags": ["exemplar-guided-image-translation", "onnx", "torch-export"],
        "license": "other",
    }
    assert body.startswith("\n# scenes\n")
    for word in ("| 5 | net |", "no licence was stated", "synthetic scenes", "CosineCorrespondence",
                 "| training steps | 7 |", "None were given at the export."):  # fmt: skip
        assert word in body, word
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() in body
    faces = (exported("deepfashion")[1] / "README.md").read_text()
    assert "converted from the files that CoCosNet's authors released (deepfashion)" in faces
    assert "## Classes" not in faces


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_the_card_s_programs_need_no_toolkit_and_paint_the_same_picture(
    runtime, exported, pictures, tmp_path
):
    checkpoint, out = exported("scenes")
    programs = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    (program,) = [code for code in programs if code.startswith(f"import {runtime}\n")]
    for name in ("io.json", "model.onnx", "model.pt2"):
        (tmp_path / name).symlink_to(out / name)
    pictures(tmp_path)
    program += "\nimport sys\nassert 'mcltoolkit' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ours = inference.translate(
        tmp_path / "condition.png",
        tmp_path / "exemplar.png",
        inference.load_model(checkpoint, "cpu"),
        exemplar_condition=tmp_path / "exemplar_condition.png",
        size=(32, 32),
    ).array
    theirs = np.array(Image.open(tmp_path / "image.png"))
    assert ours.std() > 3
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_stated_licences_stand_in_card_and_front_matter(checkpoints, tmp_path, quick):
    export_model(checkpoints["scenes"], tmp_path / "out", PLAIN, licence="cc-by-nc-4.0")
    text = (tmp_path / "out" / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "cc-by-nc-4.0"
    assert "weights: cc-by-nc-4.0, as stated at the export" in text


def test_settings_that_cannot_be_are_refused_before_any_work(checkpoints, tmp_path, monkeypatch):
    def export(**settings):
        export_model(checkpoints["scenes"], tmp_path / "out", **settings)

    with pytest.raises(ConfigError, match=r"--format tflite; allowed are onnx and torch-export"):
        export(formats=["tflite"])
    with pytest.raises(ConfigError, match=r"--opset is 17; allowed are 18 to 23"):
        export(opset=17)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"onnxruntime, not .*mcltoolkit\[export\]"):
        export()
    assert list(tmp_path.iterdir()) == []


def test_every_step_is_said_before_it_begins(checkpoints, tmp_path, quick, monkeypatch):
    said = []

    def follow(name):
        does = getattr(folder, name)

        def step(*given):
            said.append(name)
            return does(*given)

        monkeypatch.setattr(folder, name, step)

    for name in ("load_model", "capture", "write_program", "open_program"):
        follow(name)
    export_model(checkpoints["scenes"], tmp_path / "out", PLAIN, say=said.append)
    assert [line.split()[0] for line in said] == [
        "reading", "load_model", "capturing", "capture", "writing", "write_program", "running",
        "open_program", "writing",
    ]  # fmt: skip
