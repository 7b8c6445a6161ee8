"""A config that trains on the data set just examined."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcltoolkit.data.doctor.plan import Plan, SplitPlan
from mcltoolkit.data.doctor.survey import Survey


@dataclass(frozen=True)
class Preset:
    """A size of experiment.

    Args:
        base: piece of `configs/_base_` with networks, losses, schedule.
        short_side: of the training crop, pixels.
        multiple: what height and width must be multiples of.
        batch_size, workers: of the training loader.
        validated: validation pictures at most; None: all.
        start: how to start the training beyond the config's name.
    """

    base: str
    short_side: int
    multiple: int
    batch_size: int
    workers: int
    validated: int | None
    start: str


PRESETS = {
    "small": Preset("preset_small.py", 64, 16, 4, 1, 32, ""),
    "full": Preset("preset_full.py", 256, 32, 8, 4, None, " --vgg-weights torchvision"),
}
_ENLARGED = 286 / 256  # the recipe's resize before its crop


def ready_config(survey: Survey, preset: Preset, out: Path, configs: Path) -> str:
    """The text of a config.

    Args:
        survey: of a data set without errors; its plan has K and a size.
        preset: how large.
        out: where the config will lie; the bases are named from there.
        configs: folder with `_base_`.
    """
    plan = survey.plan
    training = plan.training()
    assert training is not None
    assert plan.size is not None
    held = {split.role: split for split in plan.splits if split.role != "training"}
    validation, test = (
        held.get("validation", held.get("test")),
        held.get("test", held.get("validation")),
    )
    height, width = plan.size
    large = (round(height * _ENLARGED), round(width * _ENLARGED))
    count = len(survey.splits[training.name].images)
    lines = [
        f'"""MCL-Net on {plan.root.name}, {height} x {width}, written by tools/check_dataset.py.',
        "",
        f"python tools/train.py {out.as_posix()}{preset.start}",
        '"""',
        "",
        f"_base_ = {_code(_base(out, configs / '_base_' / preset.base))}",
        "",
        f"num_classes = {plan.num_classes}",
        f"ignore_label = {plan.ignore_label}",
        f"data_root = {_code(plan.root.resolve().as_posix())}",
        "folder = dict(",
        *[f"    {name}={value}," for name, value in _folder(plan, training).items()],
        ")",
        "train_dataloader = dict(",
        f"    batch_size={min(preset.batch_size, count)},",
        f"    num_workers={preset.workers},",
        "    persistent_workers=True,",
        "    drop_last=True,",
        '    sampler=dict(type="SeededSampler", shuffle=True),',
        "    dataset=dict(",
        *_split(training, 'dict(mode="recipe", retrieved=0.7, hard=0.2)'),
        "        geometry=[",
        f'            dict(type="PILResize", height={large[0]}, width={large[1]}),',
        f'            dict(type="RandomCrop", height={height}, width={width}),',
        '            dict(type="HorizontalFlip", p=0.5),',
        "        ],",
        "        **folder,",
        "    ),",
        ")",
        *_held_out("val", validation, preset, plan.size, preset.validated),
        *_held_out("test", test, preset, plan.size, None),
        "model = dict(",
        "    condition_channels=num_classes,",
        "    losses=dict(mask=dict(ignore_label=ignore_label)),",
        ")",
    ]
    return "\n".join(lines) + "\n"


def _folder(plan: Plan, training: SplitPlan) -> dict[str, str]:
    """Settings that all splits share, as code; defaults of `FolderDataset` are left out."""
    settings: dict[str, Any] = {
        "type": "FolderDataset",
        "images": plan.images,
        "annotations": plan.annotations,
        "image_suffixes": tuple(plan.image_suffixes),
        "label_suffix": plan.label_suffix,
        "exemplar_split": training.name,
        "classes": list(plan.classes) if plan.classes and not _reads_class_file(plan) else None,
        "palette": [tuple(c) for c in plan.colours] if plan.colours else None,
        "label_map": dict(plan.label_map) or None,
    }
    defaults = {
        "images": "images/{split}",
        "annotations": "annotations/{split}",
        "label_suffix": ".png",
        "exemplar_split": "training",
        "image_suffixes": Plan(plan.root, (), "", None).image_suffixes,
    }
    kept = {k: _code(v) for k, v in settings.items() if v is not None and v != defaults.get(k)}
    names = {name: name for name in ("data_root", "num_classes", "ignore_label")}
    return {"type": kept.pop("type"), **names, **kept}


def _reads_class_file(plan: Plan) -> bool:
    """Whether classes.txt has exactly the classes, so that the data set may read it itself."""
    path = plan.root / "classes.txt"
    if not path.is_file():
        return False
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return tuple(line for line in lines if line) == plan.classes


def _split(split: SplitPlan, choice: str) -> list[str]:
    listed = split.exemplar_list is not None
    if not listed:
        choice = 'dict(mode="self")'
    return [
        f"        split={_code(split.name)},",
        *([f"        exemplar_list={_code(split.exemplar_list)},"] if listed else []),
        f"        exemplar_choice={choice},",
    ]


def _held_out(
    which: str, split: SplitPlan | None, preset: Preset, size: tuple[int, int], limit: int | None
) -> list[str]:
    if split is None:
        return [f"{which}_dataloader = None", f"{which}_cfg = None", f"{which}_evaluator = None"]
    return [
        f"{which}_dataloader = dict(",
        f"    batch_size={preset.batch_size},",
        "    num_workers=0,",
        '    sampler=dict(type="SeededSampler", shuffle=False),',
        "    dataset=dict(",
        *_split(split, 'dict(mode="first")'),
        f'        geometry=[dict(type="PILResize", height={size[0]}, width={size[1]})],',
        *([f"        max_samples={limit},"] if limit else []),
        "        **folder,",
        "    ),",
        ")",
        f"{which}_evaluator = [",
        '    dict(type="ImageQuality"),',
        '    dict(type="LabelTransfer", ignore_label=ignore_label),',
        '    dict(type="MatchEntropy"),',
        "]",
    ]


def _code(value: Any) -> str:
    """A value as Python code, strings in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(_code, value)) + "]"
    return repr(value)


def _base(out: Path, base: Path) -> str:
    """The base as seen from the config: relative inside one tree, absolute otherwise."""
    folder, base = out.resolve().parent, base.resolve()
    if folder.is_relative_to(base.parents[2]):
        return Path(os.path.relpath(base, folder)).as_posix()
    return base.as_posix()
