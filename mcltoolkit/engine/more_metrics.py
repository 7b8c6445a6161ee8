"""A config with further metrics in its test, as the command line names them."""

from __future__ import annotations

import argparse
from typing import Any

from mmengine.config import Config

from mcltoolkit.engine.config import load_config
from mcltoolkit.metrics.choice import add_to_evaluators, settings_of

WITH_VGG = {"style", "semantic"}


def load_with_metrics(path: str, given: dict[str, Any], options: argparse.Namespace) -> Config:
    """As `load_config`, with `--metrics` added to the test's evaluators.

    The weights of `--vgg-weights` are for the model's losses and for the metrics; without the
    option metrics take those of the model, where it has some.

    Args:
        path: of the config.
        given: arguments of `load_config`.
        options: see `choice.add_options`.

    Raises:
        ConfigError: see `load_config`; or an unknown metric.
    """
    weights = given.get("vgg_weights")
    if not WITH_VGG & {*(options.metrics or ())}:
        config = load_config(path, **given)
    else:
        config = load_config(path, **{**given, "vgg_weights": None})
        vgg = config.model.get("vgg")
        if vgg and weights:
            vgg.weights = weights
        options.vgg_weights = weights or (vgg or {}).get("weights")
    if options.metrics:
        add_to_evaluators(config, settings_of(options.metrics, options))
    return config
