import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.conversion import to_toolkit


@pytest.fixture
def checkpoint(cocosnet, tmp_path):
    """Writes the converted checkpoint of a task; its test size is 64 x 64."""

    def write(task="ade20k", name="ours.pth", **changed):
        states = cocosnet.make(**{**cocosnet.TASKS[task], **changed})
        content = to_toolkit(task, **states, allow_other_architecture=bool(changed))
        content["config"]["inference"]["size"] = (64, 64)
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def ade20k(cocosnet, tmp_path_factory):
    """The converted checkpoint of ade20k, written once; its test size is 64 x 64."""
    content = to_toolkit("ade20k", **cocosnet.make(**cocosnet.TASKS["ade20k"]))
    content["config"]["inference"]["size"] = (64, 64)
    file = tmp_path_factory.mktemp("ade20k") / "ours.pth"
    torch.save(content, file)
    return file


@pytest.fixture
def files(tmp_path):
    """Label maps c.png and ec.png of 7 classes and the exemplar e.png, all of one size."""

    def write(size=(64, 64), classes=7):
        rng = np.random.default_rng(0)
        cells = (size[0] // 8 + 1, size[1] // 8 + 1)
        for name in ("c", "ec"):
            rough = rng.integers(classes, size=cells, dtype=np.uint8)
            labels = rough.repeat(8, 0).repeat(8, 1)[: size[0], : size[1]]
            Image.fromarray(labels).save(tmp_path / f"{name}.png")
        image = rng.integers(256, size=(*cells, 3), dtype=np.uint8)
        Image.fromarray(image).resize(size[::-1]).save(tmp_path / "e.png")
        return [str(tmp_path / f"{name}.png") for name in ("c", "e", "ec")]

    return write
