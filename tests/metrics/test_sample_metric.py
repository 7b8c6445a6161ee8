from types import SimpleNamespace

import pytest
import torch

from mcltoolkit.engine.hooks.samples import values_by_index
from mcltoolkit.metrics import (
    CycleError,
    ImageQuality,
    LabelTransfer,
    MatchEntropy,
    SampleMetric,
)
from mcltoolkit.metrics.measured import unique_names
from mcltoolkit.registry import METRICS


class Lengths(SampleMetric):
    protocols = {"length": "length-1", "first": "first-2"}

    def measure(self, samples):
        names = [sample.name for sample in samples]
        return [{"length": len(s), **({"first": ord(s[0])} if s else {})} for s in names]


def named(*names, size=(4, 6)):
    return [SimpleNamespace(name=name, fake=torch.zeros(3, *size)) for name in names]


def test_each_key_is_averaged_over_the_samples_that_have_it():
    metric = Lengths()
    metric.process(None, named("ab", ""))
    metric.process(None, named("c"))
    assert metric.evaluate(3) == {"length": 1.0, "first": (97 + 99) / 2}


def test_values_of_samples_stay_under_their_names():
    metric = Lengths()
    metric.process(None, named("ab", "c", "ab", "padding"))
    metric.evaluate(3)
    assert metric.per_sample == {
        "ab": {"length": 2, "first": 97},
        "c": {"length": 1, "first": 99},
        "ab#2": {"length": 2, "first": 97},
    }
    metric.process(None, named("d"))
    metric.evaluate(1)
    assert set(metric.per_sample) == {"d"}, "those of the last evaluation"


def test_names_that_look_like_repeats_lose_no_sample():
    names = ["a", "a", "a#2", "b", "a", "a#2"]
    assert unique_names(names) == ["a", "a#3", "a#2", "b", "a#4", "a#2#2"]
    assert len(set(unique_names(names))) == len(names)
    metric = Lengths()
    metric.process(None, named(*names[:3]))
    metric.evaluate(3)
    assert {name: values["length"] for name, values in metric.per_sample.items()} == {
        "a": 1,
        "a#3": 1,
        "a#2": 3,
    }
    assert metric.passport()["samples"] == 3
    found = values_by_index(dict(enumerate(names[:3])), [metric])
    assert [values["length"] for values in found.values()] == [1, 1, 3]


def test_a_passport_tells_protocol_count_and_sizes_of_each_value():
    metric = Lengths(prefix="val")
    metric.process(None, named("ab", ""))
    metric.process(None, named("c", size=(2, 2)))
    metric.evaluate(3)
    shared = {"image_size": "2x2, 4x6", "file_format": "none: tensors of the network"}
    assert metric.passports() == {
        "val/length": {"protocol": "length-1", "samples": 3, **shared},
        "val/first": {"protocol": "first-2", "samples": 2, **shared},
    }
    assert metric.passport("first") == metric.passports()["val/first"]
    assert metric.passport() == metric.passports()["val/length"]


def test_prefix_is_empty_unless_given():
    metric = Lengths(prefix="val")
    metric.process(None, named("ab"))
    assert set(metric.evaluate(1)) == {"val/length", "val/first"}


@pytest.mark.parametrize("kind", [CycleError, ImageQuality, LabelTransfer, MatchEntropy])
def test_metrics_are_built_from_the_registry_without_a_warning(kind, monkeypatch):
    said = []
    monkeypatch.setattr("mmengine.evaluator.metric.print_log", lambda *args, **_: said.append(args))
    metric = METRICS.build({"type": kind.__name__})
    assert type(metric) is kind
    assert not said
