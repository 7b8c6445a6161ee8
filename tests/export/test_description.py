"""What io.json and the card say of inputs is what training does."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data.face_masks import FaceMasks
from mcltoolkit.export import export_model


@pytest.fixture
def out(faces, quick, tmp_path):
    export_model(faces, tmp_path / "out", ("torch-export",))
    return tmp_path / "out"


def test_glasses_are_a_layer_and_no_label(out):
    io = json.loads((out / "io.json").read_text())
    steps = io["inputs"]["condition"]["preprocessing"]
    assert [step["step"] for step in steps] == ["read", "replace", "resize", "one-hot", "layer"]
    assert "0 to 18 without 16" in steps[0]["note"]
    assert steps[-1]["channel"] == 16
    assert "eye_g" in steps[-1]["note"]
    assert io["layers"] == [16]
    card = (out / "README.md").read_text()
    assert "No label map holds the value 16: " in card
    assert re.search(r"^\| 16 \(layer\) \| ", card, re.MULTILINE)


@pytest.mark.parametrize("worn", [True, False])
def test_the_card_s_program_makes_the_condition_that_training_makes(out, worn):
    height, width = 32, 48
    rng = np.random.default_rng(0)
    labels = rng.integers(16, size=(height, width), dtype=np.uint8)
    glasses = np.zeros((height, width), np.uint8)
    Image.fromarray(labels).save(out / "condition.png")
    if worn:
        glasses[4:9, 10:30] = 1
        Image.fromarray(glasses * 255).save(out / "condition_layer_16.png")
    (program,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    reading = program.partition("photo = ")[0].replace("import torch\n", "")
    reading += 'np.save("found.npy", read_condition("condition.png"))'
    subprocess.run([sys.executable, "-c", reading], cwd=out, check=True)
    _, expected = FaceMasks().to_tensors(np.dstack([labels, glasses]))
    np.testing.assert_array_equal(np.load(out / "found.npy"), expected[None])
    assert (expected.sum(0) == 2).any() == worn


def test_photos_are_read_as_stored(out):
    io = json.loads((out / "io.json").read_text())
    assert (
        "EXIF orientation is not applied"
        in (io["inputs"]["exemplar"]["preprocessing"][0]["orientation"])
    )
    assert "Photos are read as stored: an EXIF orientation is not applied" in (
        (out / "README.md").read_text()
    )
