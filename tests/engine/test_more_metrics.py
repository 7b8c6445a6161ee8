"""Which weights metrics look with; their settings: tests/metrics/test_folders.py."""

import argparse

import pytest

from mcltoolkit.engine.more_metrics import load_with_metrics
from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics import choice

BASE = "_base_ = {base!r}\n"
WITH_VGG = "model = dict(vgg=dict(_delete_=True, type='VGG19Features', weights='of the model'))\n"


@pytest.fixture
def load(tiny_config, tmp_path):
    def run(*arguments, text="", vgg_weights=None):
        file = tmp_path / "config.py"
        file.write_text(BASE.format(base=str(tiny_config)) + text)
        parser = argparse.ArgumentParser()
        choice.add_options(parser, tuple(choice.TYPES))
        given = {"vgg_weights": vgg_weights, "work_dir": str(tmp_path)}
        return load_with_metrics(str(file), given, parser.parse_args(list(arguments)))

    return run


def evaluator(config, kind):
    (found,) = [entry for entry in config.test_evaluator if entry["type"] == kind]
    return dict(found)


def test_without_metrics_the_config_is_as_it_was(load):
    assert {e["type"] for e in load().test_evaluator} >= {"ImageQuality", "LabelTransfer"}
    with pytest.raises(ConfigError, match="sets no model.vgg"):
        load(vgg_weights="random")


def test_named_weights_are_for_metrics_and_losses(load):
    config = load("--metrics", "style", vgg_weights="named", text=WITH_VGG)
    assert evaluator(config, "StyleRelevance") == {"type": "StyleRelevance", "weights": "named"}
    assert config.model.vgg.weights == "named"
    config = load("--metrics", "style", vgg_weights="named")
    assert evaluator(config, "StyleRelevance")["weights"] == "named"
    assert not config.model.get("vgg")


def test_metrics_take_the_models_weights_unless_told(load):
    config = load("--metrics", "semantic", "psnr", text=WITH_VGG)
    assert evaluator(config, "SemanticConsistency")["weights"] == "of the model"
    assert evaluator(config, "ImageQuality") == {"type": "ImageQuality"}
    assert "weights" not in evaluator(load("--metrics", "style"), "StyleRelevance")


CAFFE = (
    "model = dict(vgg=dict(_delete_=True, type='VGG19Features', weights='of the model', "
    "preprocess='caffe', width_divisor=4))\n"
)
OWN = "test_evaluator = [dict(type='StyleRelevance', weights='own', prefix='a')]\n"


def test_preprocessing_and_width_go_with_the_models_weights(load):
    config = load("--metrics", "style", text=CAFFE + OWN)
    assert evaluator(config, "StyleRelevance") == {
        "type": "StyleRelevance",
        "weights": "own",
        "prefix": "a",
    }
    config = load("--metrics", "style", text=CAFFE)
    found = evaluator(config, "StyleRelevance")
    assert found["weights"] == "of the model"
    assert (found["preprocess"], found["width_divisor"]) == ("caffe", 4)
    config = load("--metrics", "style", vgg_weights="named", text=CAFFE + OWN)
    found = evaluator(config, "StyleRelevance")
    assert (found["weights"], found["preprocess"]) == ("named", "caffe")
    assert (found["prefix"], found["width_divisor"]) == ("a", 4)
