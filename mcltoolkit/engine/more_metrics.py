"""A config with further metrics in its test, as the command line names them."""

from __future__ import annotations

import argparse
from typing import Any

from mmengine.config import Config

from mcltoolkit.engine.config import load_config
from mcltoolkit.metrics.choice import TYPES, add_to_evaluators, settings_of

WITH_VGG = {"style", "semantic"}
OF_VGG = {
    "weights": "weights",
    "preprocess": "preprocess",
    "width_divisor": "width_divisor",
    "seed": "weights_seed",
}
"""Settings of `VGG19Features`, and what its metrics call them."""


def load_with_metrics(path: str, given: dict[str, Any], options: argparse.Namespace) -> Config:
    """As `load_config`, with `--metrics` added to the test's evaluators.

    The weights of `--vgg-weights` are for the model's losses and for the metrics. Without the
    option, metrics for which the config names no weights take the model's network: weights,
    preprocessing and width.

    Args:
        path: of the config.
        given: arguments of `load_config`.
        options: see `choice.add_options`.

    Raises:
        ConfigError: see `load_config`; or an unknown metric.
    """
    weights = given.get("vgg_weights")
    vgg: Any = None
    if not WITH_VGG & {*(options.metrics or ())}:
        config = load_config(path, **given)
    else:
        config = load_config(path, **{**given, "vgg_weights": None})
        vgg = config.model.get("vgg")
        if vgg and weights:
            vgg.weights = weights
        options.vgg_weights = weights
    if options.metrics:
        models = {ours: vgg[theirs] for theirs, ours in OF_VGG.items() if theirs in (vgg or {})}
        settings = settings_of(options.metrics, options)
        add_to_evaluators(config, settings, {TYPES[name]: models for name in WITH_VGG})
    return config
