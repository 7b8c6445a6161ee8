"""The examination: look at all files once, run every check, sort what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from mcltoolkit.data.doctor.check_duplicates import check_leaks, check_repeats
from mcltoolkit.data.doctor.check_files import (
    check_layout,
    check_modes,
    check_pairing,
    check_readable,
    check_sizes,
)
from mcltoolkit.data.doctor.check_labels import (
    check_channels,
    check_classes,
    check_inferred,
    check_lossy,
    check_values,
    class_shares,
    infer_num_classes,
)
from mcltoolkit.data.doctor.check_lists import check_lists
from mcltoolkit.data.doctor.convert import convert_labels, read_by_colour, unknown_colours
from mcltoolkit.data.doctor.findings import SEVERITIES, Diagnosis, Finding, check_codes
from mcltoolkit.data.doctor.plan import Plan, with_classes
from mcltoolkit.data.doctor.sizes import training_size
from mcltoolkit.data.doctor.survey import Survey, survey
from mcltoolkit.data.label_colours import LabelColours
from mcltoolkit.data.near_duplicates import THRESHOLD


def examine(
    plan: Plan,
    *,
    palette: LabelColours | None = None,
    convert_to: Path | None = None,
    size: tuple[int, int | None] = (256, None),
    multiple: int = 1,
    threshold: float = THRESHOLD,
    accept: Iterable[str] = (),
    workers: int = 0,
    console: Console | None = None,
) -> tuple[Diagnosis, Survey]:
    """Examine a data set.

    Args:
        plan: where it is, see `plan_of_folder`.
        palette: read label maps by colour.
        convert_to: folder for label maps of class numbers, made with the palette where every file
            can be read and every colour is known; the examination is then of these.
        size, multiple: of the training crop where the plan has none, see `training_size`.
        threshold: cosine of near-duplicates.
        accept: codes of findings to leave out.
        workers: processes, 0 works in this one.
        console: where to show progress; None shows none.

    Returns:
        What was found, and the facts it rests on.

    Raises:
        ConfigError: a setting is not allowed, or `convert_to` cannot be used.
    """
    accepted = check_codes(accept)
    found = survey(plan, by_colour=palette is not None, workers=workers, console=console)
    unknown = None
    if palette is not None:
        unknown = unknown_colours(found, palette)
        unreadable = any(f.problem for s in found.splits.values() for f in s.labels.values())
        if convert_to is not None and unknown is None and not unreadable:
            plan = convert_labels(found, palette, convert_to, workers=workers, console=console)
            known = {
                split.image_paths[name]: facts
                for split in found.splits.values()
                for name, facts in split.images.items()
            }
            found = survey(plan, workers=workers, console=console, known_images=known)
            palette = None
        else:
            read_by_colour(found, palette)
            found.plan = with_classes(plan, None, palette.names, palette.ignore_label)
    inferred = found.plan.num_classes is None
    if inferred:
        found.plan = with_classes(
            found.plan, infer_num_classes(found), None, found.plan.ignore_label
        )
        inferred = found.plan.num_classes is not None
    if found.plan.size is None:
        found.plan = replace(found.plan, size=training_size(found, size, multiple))
    findings = [unknown] if unknown else []
    findings += _checks(found, threshold, inferred, by_colour=palette is not None)
    kept = [finding for finding in findings if finding.code not in accepted]
    kept.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    sizes = Counter((f.height, f.width) for _, f in found.all_images())
    return (
        Diagnosis(
            root=str(plan.root),
            splits={n: (len(s.image_paths), len(s.label_paths)) for n, s in found.splits.items()},
            num_classes=found.plan.num_classes,
            classes=tuple(class_shares(found)),
            sizes=dict(sizes.most_common()),
            findings=tuple(kept),
        ),
        found,
    )


def _checks(found: Survey, threshold: float, inferred: bool, by_colour: bool) -> Iterator[Finding]:
    for check in (check_layout, check_pairing, check_readable, check_modes, check_sizes):
        yield from check(found)
    yield from check_channels(found, by_colour)
    for check in (check_lossy, check_values, check_classes):
        yield from check(found)
    yield from check_inferred(found, inferred)
    yield from check_leaks(found, threshold)
    yield from check_repeats(found, threshold)
    yield from check_lists(found, threshold)
