import json

import cv2
import numpy as np
import pytest
import torch

from mcltoolkit.errors import DataError
from mcltoolkit.visualization.extremes import Shown
from mcltoolkit.visualization.images import to_uint8
from mcltoolkit.visualization.record import MAX_POINTS, read_record, write_record
from mcltoolkit.visualization.scalars import Series


@pytest.fixture
def written(make_predictions, tmp_path):
    first, second = make_predictions(torch.arange(24).repeat(2, 1))
    second.truth = None
    curves = {"loss": Series(list(range(5001)), [1 / (n + 1) for n in range(5001)])}
    config = {"model": {"betas": (0.5, 0.9), "kind": int}, "size": 3}
    shown = [Shown(first, {"psnr": 20.5}, ("first", "best"), 7), Shown(second)]
    folder = write_record(tmp_path / "record", shown, None, None, curves, config)
    return folder, first, second


def test_what_is_read_is_what_was_written(written):
    folder, first, _ = written
    record = read_record(folder)
    assert [s.name for s in record.samples] == ["scene_0", "scene_1"]
    assert record.samples[0].values == {"psnr": 20.5}
    assert record.samples[0].paired
    assert [s.index for s in record.samples] == [7, None]
    for kind, image in (("output", first.fake), ("warped", first.warped), ("truth", first.truth)):
        picture = cv2.imread(str(record.samples[0].pictures[kind]))[:, :, ::-1]
        assert np.array_equal(picture, to_uint8(image))
    assert set(record.samples[1].pictures) == {"condition", "exemplar", "warped", "output"}
    assert record.config == {"model": {"betas": [0.5, 0.9], "kind": str(int)}, "size": 3}
    curve = record.curves["loss"]
    assert len(curve.steps) <= MAX_POINTS + 1
    assert (curve.steps[0], curve.steps[-1]) == (0, 5000)
    assert all(v == 1 / (s + 1) for s, v in zip(curve.steps, curve.values, strict=True))


def test_an_earlier_records_pictures_go(written, make_predictions):
    folder, first, _ = written
    (folder / "notes.png").write_bytes(b"mine")
    write_record(folder, [Shown(first)])
    assert {p.name for p in folder.glob("*.png")} == {
        "notes.png", *(f"000_{k}.png" for k in ("condition", "exemplar", "warped", "output",
                                                "truth")),
    }  # fmt: skip
    assert read_record(folder).curves == {}


def test_a_record_that_is_not_written_to_its_end_cannot_be_read(written, monkeypatch):
    folder, _, second = written

    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("mcltoolkit.visualization.record.write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_record(folder, [Shown(second, {"psnr": 1.0})])
    with pytest.raises(DataError, match="samples.json"):
        read_record(folder)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("samples.json", None, "cannot read"),
        ("samples.json", "{", "is no JSON"),
        ("samples.json", "[]", "holds a list"),
        ("samples.json", '{"format": 9}', "format 9; allowed is 1"),
        ("samples.json", '{"format": 1, "samples": [{}]}', "not as it was written"),
        ("curves.json", '{"loss": {"steps": [1], "values": ["x"]}}', "not as it was written"),
        ("config.json", None, "cannot read"),
    ],
)
def test_a_broken_record_says_what_to_do(written, name, content, words):
    folder = written[0]
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(DataError, match=words) as error:
        read_record(folder)
    assert "tools/test.py" in str(error.value)


def test_pictures_outside_the_folder_are_not_shown(written):
    folder = written[0]
    content = json.loads((folder / "samples.json").read_text())
    content["samples"][0]["pictures"]["output"] = "../../secret.png"
    (folder / "samples.json").write_text(json.dumps(content))
    assert read_record(folder).samples[0].pictures["output"] == folder / "secret.png"
