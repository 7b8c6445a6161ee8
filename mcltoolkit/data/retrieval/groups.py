"""Groups of pictures that must not serve each other: a video's frames, photos of one person.

A group may be told by a file (`name,group` or `name,group,frame` a line) or by a regular expression
on the names. With a frame number, only frames of a group that lie near each other are kept apart.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcltoolkit.data.records import few
from mcltoolkit.data.retrieval.gallery import stem
from mcltoolkit.errors import ConfigError, DataError


@dataclass(frozen=True)
class Group:
    """The group of one picture and, where told, its frame number in it."""

    name: str
    frame: int | None = None


def groups_from_file(path: str | Path, names: Sequence[str]) -> list[Group]:
    """The group of each name, from a CSV file; a first line that begins with `name` is a heading.

    Names may have their suffix or not; backslashes become slashes; lines of other names may be
    there.

    Raises:
        DataError: the file cannot be read, a line does not fit, or a name has no line.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"group file {path} cannot be read ({error}); needed is a CSV file with lines "
            f"'name,group'; correct --groups"
        ) from error
    found: dict[str, Group] = {}
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[0].lower() == "name"):
            continue
        group = _group(path, number, cells)
        key = cells[0].replace("\\", "/")
        if found.setdefault(key, group) != group:
            raise DataError(
                f"group file {path}, line {number}: {key!r} has group {group.name!r}, an earlier "
                f"line gives it {found[key].name!r}; keep one of them"
            )
    return _all_named(
        [found.get(name) or found.get(stem(name)) for name in names],
        names,
        f"group file {path} has no line",
        "add lines 'name,group'",
    )


def groups_from_regex(pattern: str, names: Sequence[str]) -> list[Group]:
    """The group of each name: the first bracket of the pattern, searched in the name; a second
    bracket, if there is one, is the frame number.

    Raises:
        ConfigError: the pattern is none, has no bracket, or finds a frame that is no number.
        DataError: a name does not match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"--group-regex {pattern!r} is no regular expression ({error})"
        ) from error
    if compiled.groups not in (1, 2):
        raise ConfigError(
            f"--group-regex {pattern!r} has {compiled.groups} brackets; needed is one around the "
            f"group, such as '^(.*?)_', and, if wanted, a second around the frame number"
        )
    found: list[Group | None] = []
    for name in names:
        match = compiled.search(name)
        if match is None or match[1] is None:
            found.append(None)
            continue
        frame = match[2] if compiled.groups == 2 else None
        if frame is not None and not frame.isdecimal():
            raise ConfigError(
                f"--group-regex {pattern!r} takes {frame!r} of {name!r} as frame number; the "
                f"second bracket must hold digits, such as (\\d+)"
            )
        found.append(Group(match[1], None if frame is None else int(frame)))
    return _all_named(
        found, names, f"--group-regex {pattern!r} does not match", "correct the pattern"
    )


def number_groups(*sets: Sequence[Group]) -> list[tuple[list[int], list[int]]]:
    """For each set of pictures, a number for each group, the same in all sets, and the frames
    (0 where there is none)."""
    numbers: dict[str, int] = {}
    return [
        (
            [numbers.setdefault(group.name, len(numbers)) for group in groups],
            [group.frame or 0 for group in groups],
        )
        for groups in sets
    ]


def check_frames(groups: Mapping[str, Group]) -> None:
    """See that each picture has a frame number.

    Raises:
        ConfigError: some have none.
    """
    without = [name for name, group in groups.items() if group.frame is None]
    if without:
        raise ConfigError(
            f"--group-gap compares frame numbers, {len(without)} of {len(groups)} images have none "
            f"({few(without)}); give the group file a third column, or --group-regex a second "
            f"bracket such as '^(.*?)_(\\d+)'"
        )


def _group(path: str | Path, number: int, cells: Sequence[str]) -> Group:
    line = ",".join(cells)
    if len(cells) not in (2, 3) or not cells[0] or not cells[1]:
        raise DataError(
            f"group file {path}, line {number}: {line!r} found, needed is 'name,group' or "
            f"'name,group,frame'; correct the line"
        )
    if len(cells) == 2 or not cells[2]:
        return Group(cells[1])
    if not cells[2].isdecimal():
        raise DataError(
            f"group file {path}, line {number}: frame {cells[2]!r} found, allowed are whole "
            f"numbers >= 0; correct the line"
        )
    return Group(cells[1], int(cells[2]))


def _all_named(
    found: Sequence[Group | None], names: Sequence[str], problem: str, remedy: str
) -> list[Group]:
    missing = [name for name, group in zip(names, found, strict=True) if group is None]
    if missing:
        raise DataError(
            f"{problem} for {len(missing)} of {len(names)} images: {few(missing)}; {remedy}"
        )
    return [group for group in found if group is not None]
