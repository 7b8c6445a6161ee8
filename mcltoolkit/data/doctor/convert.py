"""Label maps in colours -> label maps of class numbers, by a palette file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from mcltoolkit.data.doctor.check_labels import common_colours
from mcltoolkit.data.doctor.facts import LabelFacts
from mcltoolkit.data.doctor.findings import Finding
from mcltoolkit.data.doctor.plan import Plan, with_classes
from mcltoolkit.data.doctor.survey import Survey, spread
from mcltoolkit.data.label_colours import LabelColours, pack_colours, unpack_colour
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.files import whole_file


def read_by_colour(survey: Survey, palette: LabelColours) -> None:
    """Set the values of every label file to the classes of its colours, in place.

    Colours that the palette does not name count nothing; `unknown_colours` tells them.
    """
    for split in survey.splits.values():
        split.labels = {name: _by_colour(facts, palette) for name, facts in split.labels.items()}


def unknown_colours(survey: Survey, palette: LabelColours) -> Finding | None:
    """The colours that the palette does not name, each with its pixels and first file."""
    unknown = [
        (colour, share, files)
        for colour, share, files in common_colours(survey)
        if not palette.lookup(np.array([colour]))[1][0]
    ]
    if not unknown:
        return None
    first: dict[int, str] = {}
    pixels: dict[int, int] = {}
    for path, facts in survey.all_labels():
        if facts.colours is None or facts.colour_counts is None:
            continue
        for colour, count in zip(facts.colours.tolist(), facts.colour_counts.tolist(), strict=True):
            first.setdefault(colour, survey.plan.shown(path))
            pixels[colour] = pixels.get(colour, 0) + count
    return Finding(
        "unknown-colour",
        "error",
        f"colours that the palette file does not name ({sum(s for _, s, _ in unknown):.3%} of the "
        f"pixels)",
        tuple(
            f"{list(unpack_colour(c))}: {pixels[c]} pixels in {files} file"
            f"{'s' if files > 1 else ''}, first {first[c]}"
            for c, _, files in unknown
        ),
        "the colours of the palette file, to the last digit",
        "add them to a class of the palette file; many of them near borders mean a lossy format "
        "or smooth resizing: export the label maps anew",
    )


def convert_labels(
    survey: Survey,
    palette: LabelColours,
    out_dir: Path,
    *,
    workers: int = 0,
    console: Console | None = None,
) -> Plan:
    """Write every label map as one channel of class numbers; the inputs stay as they are.

    Args:
        survey: of the label maps in colours, all readable, all colours known.
        palette: which colour is which class.
        out_dir: gets SPLIT/NAME.png (NAME.png where there are no splits).
        workers, console: see `survey`.

    Returns:
        The plan of the data set with the new label maps, the palette's names and colours.

    Raises:
        ConfigError: out_dir lies among the inputs, or a file is there already.
        DataError: a file holds a colour that the palette does not name.
    """
    plan = survey.plan
    inputs = {p.resolve().parent for s in survey.splits.values() for p in s.label_paths.values()}
    inputs |= {p.resolve().parent for s in survey.splits.values() for p in s.image_paths.values()}
    target = out_dir.resolve()
    for folder in inputs:
        if folder == target or folder.is_relative_to(target):
            raise ConfigError(
                f"--convert-labels {out_dir} holds files of the data set ({folder}); give a new "
                f"folder, such as {plan.root / 'annotations_ids'}"
            )
    by_split = "{split}" in (plan.annotations or "")
    jobs: list[_Job] = []
    for split in survey.splits.values():
        base = out_dir / split.plan.name if by_split else out_dir
        jobs += [
            _Job(path, base / f"{name}.png", palette) for name, path in split.label_paths.items()
        ]
    present = [job.target for job in jobs if job.target.exists()]
    if present:
        raise ConfigError(
            f"--convert-labels {out_dir}: {len(present)} files exist already, first {present[0]}; "
            f"nothing is overwritten: remove them, or give a new folder"
        )
    list(spread(_convert, jobs, "converting", workers, console))
    root = plan.root.resolve()
    inside = target.is_relative_to(root)
    where = target.relative_to(root).as_posix() if inside else target.as_posix()
    changed = replace(
        plan,
        annotations=f"{where}/{{split}}" if by_split else where,
        label_suffix=".png",
        num_classes=None,
        label_map={},
        colours=tuple(palette.display()),
    )
    return with_classes(changed, None, palette.names, palette.ignore_label)


@dataclass(frozen=True)
class _Job:
    source: Path
    target: Path
    palette: LabelColours


def _convert(job: _Job) -> None:
    with Image.open(job.source) as image:
        packed = pack_colours(np.asarray(image.convert("RGB")))
    ids, known = job.palette.lookup(packed)
    if not known.all():
        colour = list(unpack_colour(int(packed[~known][0])))
        raise DataError(
            f"label map {job.source}: colour {colour} is not in the palette file; add it to a class"
        )
    deep = len(job.palette.names) > 256
    picture = Image.fromarray(ids.astype(np.uint16 if deep else np.uint8))
    with whole_file(job.target) as part:
        picture.save(part, format="PNG", optimize=False)


def _by_colour(facts: LabelFacts, palette: LabelColours) -> LabelFacts:
    if facts.colours is None or facts.colour_counts is None:
        return facts
    ids, known = palette.lookup(facts.colours)
    values, place = np.unique(ids[known], return_inverse=True)
    counts = np.bincount(place, weights=facts.colour_counts[known], minlength=len(values))
    return replace(facts, values=values, counts=counts.astype(np.int64))
