"""What a model takes, and made-up inputs of that kind."""

import pytest
import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.export import Signature, sample_inputs, signature_of
from mcltoolkit.inference import load_model


def test_the_third_input_is_there_where_the_model_reads_it(checkpoints):
    scenes = signature_of(load_model(checkpoints["scenes"], "cpu"))
    assert scenes.inputs == {"condition": 6, "exemplar": 3, "exemplar_condition": 6}
    assert (scenes.size, scenes.kind) == ((32, 32), "labels")
    poses = signature_of(load_model(checkpoints["deepfashion"], "cpu"), (32, 96))
    assert poses.inputs == {"condition": 4, "exemplar": 3}
    assert (poses.size, poses.kind) == ((32, 96), "maps")


def test_sizes_that_cannot_be_are_refused(checkpoints):
    model = load_model(checkpoints["scenes"], "cpu")
    with pytest.raises(
        ConfigError, match=r"33x32 .*multiples of its stride 8; nearest .* 32 or 40"
    ):
        signature_of(model, (33, 32))
    model.config["inference"]["size"] = None
    with pytest.raises(ConfigError, match=r"scenes\.pth fixes no test size.*--size HEIGHT WIDTH"):
        signature_of(model)


@pytest.mark.parametrize("kind", ["noise", "scene"])
def test_made_up_inputs_lie_in_their_range_and_repeat(kind):
    signature = Signature((16, 24), 5, "labels", True)
    made = sample_inputs(signature, 3, kind, seed=4)
    assert {name: tuple(t.shape) for name, t in made.items()} == {
        "condition": (3, 5, 16, 24), "exemplar": (3, 3, 16, 24),
        "exemplar_condition": (3, 5, 16, 24),
    }  # fmt: skip
    assert made["exemplar"].min() >= -1
    assert made["exemplar"].max() <= 1
    assert made["exemplar"].min() < -0.5 < 0.5 < made["exemplar"].max()
    for name in ("condition", "exemplar_condition"):
        assert made[name].min() >= 0
        assert made[name].max() <= 1
        assert (made[name].sum(1) == 1).all() == (kind == "scene")
    assert not torch.equal(made["condition"], made["exemplar_condition"])
    again = sample_inputs(signature, 3, kind, seed=4)
    assert all(torch.equal(made[name], again[name]) for name in made)
