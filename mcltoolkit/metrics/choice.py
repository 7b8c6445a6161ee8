"""Metrics by short names: what `tools/test.py --metrics` and `tools/evaluate.py --metrics` take."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from mcltoolkit.errors import ConfigError, near_matches

TYPES = {
    "psnr": "ImageQuality",
    "ssim": "ImageQuality",
    "l1": "ImageQuality",
    "lpips": "LPIPS",
    "diversity": "LPIPSDiversity",
    "fid": "FID",
    "kid": "KID",
    "swd": "SWD",
    "style": "StyleRelevance",
    "semantic": "SemanticConsistency",
    "label_transfer": "LabelTransfer",
    "pck": "PCK",
    "cycle_error": "CycleError",
    "match_entropy": "MatchEntropy",
}
"""Class of the metric by its short name."""
SETS = ("fid", "kid", "swd")
PAIRED = ("psnr", "ssim", "l1", "lpips", "semantic")
"""Those that compare an output file with the reference file of its name."""
OF_FILES = (*PAIRED, "style", "diversity", *SETS)
"""Those that need no more than image files."""
NEEDS = {"style": ("exemplars",)}
"""Further folders of partners that a metric of files needs."""
KEYS = {
    "psnr": ("psnr",),
    "ssim": ("ssim",),
    "l1": ("l1",),
    "lpips": ("lpips",),
    "diversity": ("lpips_diversity",),
    "fid": ("fid",),
    "kid": ("kid", "kid_std"),
    "swd": ("swd",),
    "style": (
        "style_colour_paper",
        "style_texture_paper",
        "style_colour_released",
        "style_texture_released",
    ),
    "semantic": ("semantic_paper", "semantic_released"),
}
"""What a metric of files is asked for by its short name."""


def add_options(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Options that name metrics and their weights, but for `--vgg-weights`."""
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help=f"metrics: {', '.join(names)}")
    parser.add_argument(
        "--inception-weights",
        metavar="PATH|torch-fidelity|random",
        help="InceptionV3 for fid and kid",
    )
    parser.add_argument(
        "--lpips-weights",
        metavar="PATH|torchvision|random",
        help="backbone for lpips and diversity",
    )
    parser.add_argument("--lpips-net", help="alex (default), vgg or squeeze")
    parser.add_argument("--seed", type=int, help="of kid and swd (default 0)")
    parser.add_argument(
        "--allow-small",
        action="store_true",
        default=None,
        help="fid of fewer images than features, although it is biased",
    )
    parser.add_argument("--kid-subset-size", type=int, help="default 1000")


def settings_of(
    names: Sequence[str], options: argparse.Namespace, allowed: Sequence[str] = tuple(TYPES)
) -> dict[str, dict[str, Any]]:
    """Config of each metric by its short name: its class, and what the options say.

    Args:
        names: short names.
        options: see `add_options`; `vgg_weights` may be among them.
        allowed: names that may be given.

    Raises:
        ConfigError: an unknown name.
    """
    perceptual = {"weights": options.lpips_weights, "net": options.lpips_net}
    given: Mapping[str, dict[str, Any]] = {
        "fid": {"weights": options.inception_weights, "allow_small": options.allow_small},
        "kid": {
            "weights": options.inception_weights,
            "seed": options.seed,
            "subset_size": options.kid_subset_size,
        },
        "swd": {"seed": options.seed},
        "lpips": perceptual,
        "diversity": perceptual,
        "style": {"weights": options.vgg_weights},
        "semantic": {"weights": options.vgg_weights},
    }
    found = {}
    for name in names:
        if name not in allowed:
            raise ConfigError(
                f"--metrics {name}: no such metric{near_matches(name, allowed)}; allowed are "
                f"{', '.join(allowed)}"
            )
        told = {key: value for key, value in given.get(name, {}).items() if value is not None}
        found[name] = {"type": TYPES[name], **told}
    return found


def defaults(options: argparse.Namespace) -> list[str]:
    """What can be measured of files with the weights and folders that are named."""
    names = ["psnr", "ssim", "l1", "swd"]
    if options.inception_weights:
        names += ["fid", "kid"]
    if options.lpips_weights:
        names.append("lpips")
    if options.vgg_weights:
        names += ["semantic", *(["style"] if options.exemplars else [])]
    return names


def add_to_evaluators(
    config: Any,
    settings: Mapping[str, Mapping[str, Any]],
    networks: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Add metrics to a config's `test_evaluator`. Of one that it has already, only the settings
    that are given change.

    Args:
        config: mmengine's.
        settings: see `settings_of`.
        networks: by class of metric, weights and what goes with them, for a metric whose weights
            the config does not name, or `settings` name anew; what else it says about the metric
            stays.
    """
    evaluators = config.get("test_evaluator") or []
    evaluators = [evaluators] if isinstance(evaluators, Mapping) else list(evaluators)
    for given in settings.values():
        kind = given["type"]
        if not any(entry["type"] == kind for entry in evaluators):
            evaluators.append({"type": kind})
        for i, entry in enumerate(evaluators):
            if entry["type"] == kind:
                said = {k: v for k, v in entry.items() if k != "weights" or v is not None}
                named = "weights" in said and "weights" not in given
                network = {} if named else (networks or {}).get(kind, {})
                evaluators[i] = {**network, **said, **given}
    config.test_evaluator = evaluators
