"""The options of `mcltoolkit translate` as requests and the files that their pictures go to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference.api import interpolation_shares
from mcltoolkit.inference.exemplars import Exemplar
from mcltoolkit.inference.pairing import listed, partners, theirs
from mcltoolkit.inference.pipeline import Request
from mcltoolkit.inference.places import (
    check_outputs,
    condition_files,
    output_files,
)
from mcltoolkit.inference.requests import check_weights


@dataclass(frozen=True)
class Job:
    """One picture to make: what is asked for, and where it and the warped exemplar go."""

    request: Request
    out: Path
    warped: Path | None


@dataclass(frozen=True)
class Plan:
    """All pictures to make.

    Attributes:
        jobs: in order.
        shared: exemplars that all conditions have.
        regions: exemplars by what `--region` calls the class.
        single: one condition file, as opposed to a folder.
    """

    jobs: list[Job]
    shared: list[Exemplar]
    regions: dict[str, Exemplar]
    single: bool


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError: they do not.
    """
    if not options.exemplar and not options.exemplar_list:
        raise ConfigError("no exemplar is given; give --exemplar or --exemplar-list")
    several = options.exemplar_list or _is_folder(options.exemplar)
    if options.interpolate is not None:
        if len(options.exemplar or ()) != 2 or several:
            raise ConfigError(
                f"--interpolate goes from one exemplar to another; give two files as --exemplar, "
                f"found {' '.join(options.exemplar or ['none'])}"
            )
        if options.weights or options.region:
            raise ConfigError(
                "--interpolate goes with neither --weights nor --region; leave it out"
            )
        interpolation_shares(options.interpolate)
    if options.exemplar_list and options.exemplar and not _is_folder(options.exemplar):
        raise ConfigError(
            f"--exemplar beside --exemplar-list is the one folder that the list's names are "
            f"relative to, found {' '.join(options.exemplar)}; give that folder, or leave one of "
            f"the two options out"
        )
    if options.video:
        if not Path(options.condition).is_dir():
            raise ConfigError(
                f"--video takes a folder of frames, --condition is {options.condition}; extract "
                f"the frames of a video file into one, such as with ffmpeg"
            )
        if options.interpolate is not None or several:
            raise ConfigError(
                "--video has the same exemplars in all frames; give them as files with --exemplar, "
                "and leave --interpolate and --exemplar-list out"
            )
    elif options.steadiness is not None:
        raise ConfigError("--steadiness is for the frames of a video; give --video, too")


def make_plan(options: argparse.Namespace, kind: str) -> Plan:
    """Find all files, and check that nothing takes the place of anything.

    Args:
        options: of the command, after `check_options`.
        kind: the model's `condition_kind`.

    Raises:
        DataError: a file or folder is missing.
        ConfigError: see `check_outputs`.
    """
    conditions = condition_files(options.condition, kind)
    single = Path(options.condition).is_file()
    groups = _exemplars(options, conditions, kind)
    regions = _regions(options)
    steps = options.interpolate or 1
    outs = output_files(options.out, "--out", conditions, steps, single)
    warped: list[Path | None] = [None] * len(outs)
    if options.warped:
        warped[:] = output_files(options.warped, "--warped", conditions, steps, single)
    extra = [Path(options.animation)] if options.animation else []
    read = {
        "--condition": conditions,
        "--exemplar": _files([e.picture for group in groups for e in group]),
        "--exemplar-condition": _files([e.condition for group in groups for e in group]),
        "--region": _files([e.picture for e in regions.values()]),
        "--region-condition": _files([e.condition for e in regions.values()]),
    }
    written = {"--out": outs, "--warped": [file for file in warped if file], "--animation": extra}
    check_outputs(written, read, options.overwrite)
    places = iter(zip(outs, warped, strict=True))
    jobs = []
    for condition, group in zip(conditions, groups, strict=True):
        for number, shares in enumerate(_shares(options, len(group)), start=1):
            step = f" ({number} of {steps})" if steps > 1 else ""
            weighed = tuple(zip(group, shares, strict=True))
            request = Request(str(condition), weighed, name=f"{condition}{step}")
            jobs.append(Job(request, *next(places)))
    same = all(group is groups[0] for group in groups)
    return Plan(jobs, [*(groups[0] if same else ()), *regions.values()], regions, single)


def _shares(options: argparse.Namespace, count: int) -> list[Sequence[float]]:
    if options.interpolate is not None:
        return list(interpolation_shares(options.interpolate))
    return [check_weights(options.weights or [1.0] * count, count)]


def _exemplars(
    options: argparse.Namespace, conditions: Sequence[Path], kind: str
) -> list[list[Exemplar]]:
    """For each condition its exemplars; one list for all where they are the same."""
    given = options.exemplar or []
    conditions_given = options.exemplar_condition or []
    by_name = _is_folder(conditions_given)
    base: Path | None = Path(given[0]) if _is_folder(given) else None
    if options.exemplar_list:
        count = len(options.weights) if options.weights else 1
        groups = listed(conditions, options.exemplar_list, base, count)
        base = base or Path(options.exemplar_list).parent
    elif base is not None:
        groups = [[file] for file in partners(conditions, base, "--exemplar", "photos")]
    else:
        files = [_file(name, "--exemplar") for name in given]
        group = [Exemplar(str(f), c) for f, c in _paired(files, conditions_given, kind)]
        return [group] * len(conditions)
    if conditions_given and not by_name:
        raise ConfigError(
            f"each condition has an exemplar of its own, but --exemplar-condition is "
            f"{' '.join(conditions_given)}, not a folder; give the folder that holds the "
            f"exemplars' conditions, under the exemplars' names"
        )
    flat = [file for group in groups for file in group]
    found = iter(theirs(flat, base, Path(conditions_given[0]), kind) if by_name else ())
    made: dict[Path, Exemplar] = {}  # one object for one file, which is read once
    for file in flat:
        condition = str(next(found)) if by_name else None
        made.setdefault(file, Exemplar(str(file), condition))
    return [[made[file] for file in group] for group in groups]


def _paired(
    files: Sequence[Path], given: Sequence[str], kind: str
) -> list[tuple[Path, str | None]]:
    """Exemplar files with their conditions: none, as many files, or those of a folder."""
    if not given:
        return [(file, None) for file in files]
    if _is_folder(given):
        found = map(str, theirs(files, None, Path(given[0]), kind))
        return list(zip(files, found, strict=True))
    for name in given:
        _file(name, "--exemplar-condition")
    if len(given) != len(files):
        raise ConfigError(
            f"{len(given)} --exemplar-condition for {len(files)} --exemplar; give one for each, or "
            f"the folder that holds them"
        )
    return list(zip(files, given, strict=True))


def _regions(options: argparse.Namespace) -> dict[str, Exemplar]:
    pictures = _pairs(options.region or [], "--region")
    conditions = _pairs(options.region_condition or [], "--region-condition")
    without = sorted(conditions.keys() - pictures.keys())
    if without:
        raise ConfigError(f"--region-condition {without[0]}=...: there is no --region {without[0]}")
    made: dict[tuple[str, str | None], Exemplar] = {}
    for label, picture in pictures.items():
        theirs = conditions.get(label)
        made.setdefault((picture, theirs), Exemplar(picture, theirs))
    return {k: made[picture, conditions.get(k)] for k, picture in pictures.items()}


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        label, equals, file = pair.partition("=")
        if not (label and equals and file):
            raise ConfigError(f"{option} {pair}: write LABEL=FILE, such as sky=sunset.jpg")
        if label in found:
            raise ConfigError(f"{option} {label} is given twice; give each class one file")
        found[label] = str(_file(file, option))
    return found


def _file(name: str, option: str) -> Path:
    path = Path(name)
    if path.is_dir():
        raise ConfigError(f"{option} {name} is a folder among files; give files, or one folder")
    if not path.is_file():
        raise DataError(f"{option} {name} does not exist; correct the path")
    return path


def _is_folder(given: Sequence[str] | None) -> bool:
    return bool(given) and len(given or ()) == 1 and Path((given or [""])[0]).is_dir()


def _files(sources: Sequence[object]) -> list[Path]:
    return [Path(str(source)) for source in sources if source is not None]
