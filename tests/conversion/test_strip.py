import argparse
import collections
import os

import pytest
import torch
from torch import nn

from mcltoolkit.conversion.strip import strip
from mcltoolkit.engine.files import load_plain
from mcltoolkit.errors import WeightsError


class Bomb:
    """Runs a command when an ordinary unpickler meets it."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


class History(dict):
    """A container of a class that only its own project has."""


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_plain_values_come_out_and_nothing_runs(tmp_path, zipped):
    model = nn.Linear(3, 2)
    file, out = tmp_path / "foreign.pth", tmp_path / "plain.pth"
    history = History(a=[1, 2])
    content = {
        "state_dict": collections.OrderedDict(model.state_dict()),
        "half": model.weight.detach().half(),
        "parameter": model.bias,
        "args": argparse.Namespace(lr=0.1),
        "nested": [1, ("a", Bomb(tmp_path / "ran"), 2.5), history],
        "epoch": 7,
    }
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    left_out = strip(file, out)
    assert not (tmp_path / "ran").exists()
    found = load_plain(out)
    assert found.keys() == {"state_dict", "half", "parameter", "nested", "epoch"}
    for name, value in model.state_dict().items():
        assert torch.equal(found["state_dict"][name], value)
    assert torch.equal(found["half"], content["half"])
    assert torch.equal(found["parameter"], model.bias.detach())
    assert found["nested"] == [1, ("a", 2.5)]
    assert found["epoch"] == 7
    assert [place.split(" ")[0] for place in left_out] == ["args", "nested[1][1]", "nested[2]"]
    assert "argparse.Namespace" in left_out[0]
    torch.load(file, weights_only=False)
    assert (tmp_path / "ran").exists(), "an ordinary unpickler would have run it"


def test_the_message_of_a_refused_file_names_the_way(tmp_path):
    torch.save({"a": argparse.Namespace()}, tmp_path / "f.pth")
    with pytest.raises(WeightsError, match=r"argparse.Namespace.*tools/strip_checkpoint.py"):
        load_plain(tmp_path / "f.pth")


def test_what_cannot_be_stripped(tmp_path):
    torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(WeightsError, match=r"no tensor outside of objects.*Linear"):
        strip(tmp_path / "module.pth", tmp_path / "out.pth")
    (tmp_path / "broken.pth").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(WeightsError, match="cannot be read, not even"):
        strip(tmp_path / "broken.pth", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
    (tmp_path / "out.pth").write_text("mine")
    with pytest.raises(WeightsError, match="exists already"):
        strip(tmp_path / "module.pth", tmp_path / "out.pth")
    assert (tmp_path / "out.pth").read_text() == "mine"
