"""Outputs that deviate are noticed."""

import pytest
import torch

from mcltoolkit.errors import ConfigError
from mcltoolkit.export import Signature, deviations, export_model
from mcltoolkit.export.capture import ExportedNetwork

SIGNATURE = Signature((32, 32), 6, "labels", True)


@pytest.fixture
def translator(tiny_gan):
    return tiny_gan().translator.eval()


def changed(translator, change):
    network = ExportedNetwork(translator)

    def run(inputs):
        with torch.no_grad():
            image, warped = network(**inputs)
        return image, change(warped, len(image))

    return run


def test_the_largest_difference_of_all_cases_is_given_by_output(translator):
    def off(x, batch):
        x = x.clone()
        x[-1, 0, 0, 0] += 1e-5 * batch
        return x

    found = deviations(changed(translator, off), translator, SIGNATURE)
    assert found["image"] == 0
    assert found["warped"] == pytest.approx(3e-5, rel=0.01)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, batch: x + 2e-4 * (batch == 3),
        lambda x, batch: x * torch.nan,
        lambda x, batch: x[:1],
    ],
)
def test_a_deviation_of_any_batch_is_an_error(translator, change):
    run = changed(translator, change)
    with pytest.raises(
        ConfigError, match=r"model\.onnx gives other outputs.*warped .*0\.0001.*float64"
    ):
        deviations(run, translator, SIGNATURE, what="model.onnx")


@pytest.mark.parametrize("tolerance", [float("inf"), float("nan"), -1e-6])
def test_a_tolerance_that_measures_nothing_is_refused(translator, tolerance, tmp_path):
    run = changed(translator, lambda x, batch: x)
    allowed = r"--tolerance is \S+; allowed are finite numbers from 0"
    with pytest.raises(ConfigError, match=allowed):
        deviations(run, translator, SIGNATURE, tolerance)
    with pytest.raises(ConfigError, match=allowed):
        export_model(tmp_path / "missing.pth", tmp_path / "out", tolerance=tolerance)


def test_a_model_whose_own_outputs_are_not_finite_is_refused(translator):
    run = changed(translator, lambda x, batch: x)
    with torch.no_grad():
        for parameter in translator.generator.parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(ConfigError, match="the model in memory gives values that are not finite"):
        deviations(run, translator, SIGNATURE)
