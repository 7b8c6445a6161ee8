"""What the four released CoCosNet models leave open: settings that no tensor's shape tells.

Zhang et al., CVPR 2020; the options that its authors give for testing and training each task.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mcltoolkit.data.face_masks import GLASSES
from mcltoolkit.errors import ConfigError, near_matches

Settings = dict[str, Any]
SIZE = (256, 256)


@dataclass(frozen=True)
class Recipe:
    """One released task.

    Attributes:
        channels: of the condition in the released model.
        labels: the condition is a label map, whose stored values are the channels' numbers.
        ignore_label: the unknown class, if there is one.
        correspondence, losses: settings beyond those that all tasks share.
        epochs: of the released training; the rate falls in the second half.
        stride_kernel: of the encoders' strided convolutions.
        refused_labels: channels that lie over others, so that a label map cannot say them.
    """

    channels: int
    labels: bool
    ignore_label: int | None
    correspondence: Mapping[str, Any]
    losses: Mapping[str, Any]
    epochs: int
    stride_kernel: int = 4
    refused_labels: tuple[int, ...] = ()


_FACES: Settings = {
    "per": {"layer": "relu4_2", "weight": 0.001},
    "pse": {"weight": 10.0},
}
RECIPES: Mapping[str, Recipe] = {
    "ade20k": Recipe(
        channels=151,
        labels=True,
        ignore_label=0,
        correspondence={"mask_mix": True},
        losses={
            "per": {"layer": "relu5_2", "weight": 0.01},
            "pse": {"weight": 1.0},
            "mask": {"type": "MaskLoss", "weight": 100.0, "ignore_label": 0},
        },
        epochs=200,
        stride_kernel=3,
    ),
    "celebahq": Recipe(
        channels=19,
        labels=True,
        ignore_label=0,
        correspondence={"mask_mix": True, "upsample": "bilinear"},
        losses={
            **_FACES,
            "cyc": {"type": "CycleLoss", "weight": 0.1},
            "mask": {"type": "MaskLoss", "weight": 100.0, "ignore_label": 0},
        },
        epochs=60,
        refused_labels=(GLASSES,),
    ),
    "celebahqedge": Recipe(
        channels=15,
        labels=False,
        ignore_label=None,
        correspondence={"mask_mix": True, "upsample": "bilinear"},
        losses={**_FACES, "cyc": {"type": "CycleLoss", "weight": 1.0}},
        epochs=60,
    ),
    "deepfashion": Recipe(
        channels=20,
        labels=False,
        ignore_label=None,
        correspondence={"mask_mix": False, "warp": "patch", "upsample": "bilinear"},
        losses={
            **_FACES,
            "self_warp": {"type": "SelfWarpLoss", "weight": 100.0, "released": True},
        },
        epochs=100,
    ),
}
_LOSSES: Settings = {
    "adv": {"type": "HingeAdversarialLoss", "weight": 10.0},
    "feature_matching": {"type": "FeatureMatchingLoss", "weight": 10.0},
    "per": {"type": "PerceptualLoss"},
    "cxt": {"type": "ContextualLoss", "weight": 10.0},
    "pse": {"type": "PseudoPairLoss", "released": True},
    "fcst": {"type": "FeatureConsistencyLoss", "weight": 10.0},
}
_CORRESPONDENCE: Settings = {
    "hidden": None,
    "blocks": 4,
    "neighbourhood": 3,
    "centre": "channels",
    "temperature": 0.01,
}


def recipe(task: str) -> Recipe:
    """The recipe of a task.

    Raises:
        ConfigError: no such task.
    """
    if task not in RECIPES:
        raise ConfigError(
            f"task {task!r} is unknown{near_matches(task, RECIPES)}; allowed are "
            f"{', '.join(RECIPES)}"
        )
    return RECIPES[task]


def released_architecture(task: str) -> dict[str, Settings]:
    """What the released networks of a task are beside their widths and kernels, by part of the
    model.

    Raises:
        ConfigError: no such task.
    """
    known = recipe(task)
    encoder = {
        "second_stride": 2,
        "non_local": False,
        "squeeze_excitation": False,
        "extra_blocks": False,
        "dilated": False,
        "spade_norm": "pono",
    }
    return {
        "generator": {"attention": True, "spade_norm": "pono"},
        "condition_encoder": dict(encoder),
        "image_encoder": dict(encoder),
        "correspondence": {
            "mask_mix": bool(known.correspondence.get("mask_mix")),
            "coordinates": False,
        },
        "discriminator": {"layers": 4, "scales": 2, "attention": True},
    }


def assemble_config(task: str, channels: int, inferred: Mapping[str, Settings]) -> Settings:
    """A complete config as plain data: the task's recipe with the inferred settings filled in.

    Args:
        task: a key of `RECIPES`.
        channels: of the condition.
        inferred: settings of `condition_encoder`, `image_encoder`, `correspondence`, `generator`
            and, if known, `discriminator`.

    Raises:
        ConfigError: no such task.
    """
    known = recipe(task)
    losses = {name: {**_LOSSES.get(name, {}), **known.losses.get(name, {})} for name in _LOSSES}
    losses |= {name: loss for name, loss in known.losses.items() if name not in _LOSSES}
    model = {
        "type": "ExemplarGAN",
        "condition_channels": channels,
        "condition_encoder": {"type": "DomainEncoder", **inferred["condition_encoder"]},
        "image_encoder": {"type": "DomainEncoder", **inferred["image_encoder"]},
        "self_correlation": None,
        "correspondence": {
            "type": "CosineCorrespondence",
            **_CORRESPONDENCE,
            **known.correspondence,
            **inferred["correspondence"],
        },
        "generator": {"type": "SPADEGenerator", "ups": 4, **inferred["generator"]},
        "discriminator": {
            "type": "MultiScaleDiscriminator",
            **inferred.get("discriminator", {}),
        },
        "vgg": {"type": "VGG19Features", "weights": None},
        "losses": losses,
    }
    return deepcopy(
        {
            "default_scope": "mcltoolkit",
            "plugins": [],
            "model": model,
            "optim_wrapper": {
                "constructor": "GANOptimWrapperConstructor",
                "generator": {
                    "optimizer": {"type": "Adam", "lr": 1e-4, "betas": (0.0, 0.9), "eps": 1e-3}
                },
                "discriminator": {"optimizer": {"type": "Adam", "lr": 4e-4, "betas": (0.0, 0.9)}},
            },
            "param_scheduler": {
                "type": "ConstantThenLinearLR",
                "by_epoch": False,
                "constant": 0.5,
                "steps": known.epochs // 2,  # one an epoch of the second half
            },
            "train_cfg": {"type": "TranslationTrainLoop", "max_epochs": known.epochs},
            "inference": {
                "size": SIZE,
                "condition": "labels" if known.labels else "maps",
                "refused_labels": list(known.refused_labels),
            },
        }
    )
