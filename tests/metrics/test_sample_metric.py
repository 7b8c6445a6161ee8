import pytest

from mcltoolkit.metrics import (
    CycleError,
    ImageQuality,
    LabelTransfer,
    MatchEntropy,
    SampleMetric,
)
from mcltoolkit.registry import METRICS


class Lengths(SampleMetric):
    def measure(self, samples):
        return [{"length": len(s), **({"first": ord(s[0])} if s else {})} for s in samples]


def test_each_key_is_averaged_over_the_samples_that_have_it():
    metric = Lengths()
    metric.process(None, ["ab", ""])
    metric.process(None, ["c"])
    assert metric.evaluate(3) == {"length": 1.0, "first": (97 + 99) / 2}


def test_prefix_is_empty_unless_given():
    metric = Lengths(prefix="val")
    metric.process(None, ["ab"])
    assert set(metric.evaluate(1)) == {"val/length", "val/first"}


@pytest.mark.parametrize("kind", [CycleError, ImageQuality, LabelTransfer, MatchEntropy])
def test_metrics_are_built_from_the_registry_without_a_warning(kind, monkeypatch):
    said = []
    monkeypatch.setattr("mmengine.evaluator.metric.print_log", lambda *args, **_: said.append(args))
    metric = METRICS.build({"type": kind.__name__})
    assert type(metric) is kind
    assert not said
