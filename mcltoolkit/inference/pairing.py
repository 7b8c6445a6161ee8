"""Which exemplar belongs to a condition, and which condition to an exemplar: by name, or by a list.

Names are compared without their ending. Where that leaves a choice, it is refused: a wrong exemplar
or another photo's labels would give a picture that looks as if nothing were wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mcltoolkit.data.exemplars import ExemplarLine, read_exemplar_list
from mcltoolkit.data.folder import SUFFIXES
from mcltoolkit.data.records import few
from mcltoolkit.errors import DataError
from mcltoolkit.inference.places import ARRAYS, by_stem, files_in

_ENDINGS = {"photos": SUFFIXES, "maps": ARRAYS, "labels": (*SUFFIXES, *ARRAYS)}


def partners(conditions: Sequence[Path], folder: Path, option: str, kind: str) -> list[Path]:
    """For each condition the file of the same name, whatever its ending, in `folder`.

    Args:
        kind: `photos`, `labels` (pictures and arrays) or `maps` (arrays).

    Raises:
        DataError: some have none; all are counted, some named.
    """
    there = by_stem(files_in(folder, _ENDINGS[kind], option), option)
    missing = [path.name for path in conditions if path.stem not in there]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(conditions)} conditions have no file of the same name (of any "
            f"ending) in folder {folder} of {option}: {few(missing)}; add them, or give one file "
            f"for all"
        )
    return [there[path.stem] for path in conditions]


def theirs(exemplars: Sequence[Path], base: Path | None, folder: Path, kind: str) -> list[Path]:
    """The condition of each exemplar, in the folder of `--exemplar-condition`.

    An exemplar below `base` has its condition at the same place below `folder`, of any ending;
    where there is none, the file of its name in `folder` itself is taken.

    Args:
        base: that a list's or a folder's names are relative to; None for single files.
        kind: `labels` or `maps`, of the model.

    Raises:
        DataError: some have none, or one file would be the condition of two exemplars.
    """
    option = "--exemplar-condition"
    known: dict[Path, dict[str, Path]] = {}

    def look(place: Path, stem: str) -> Path | None:
        if place not in known:
            known[place] = by_stem(files_in(place, _ENDINGS[kind], option), option)
        return known[place].get(stem)

    found: dict[Path, Path] = {}
    for file in dict.fromkeys(exemplars):
        inside = base is not None and file.is_relative_to(base)
        place = folder / (file.relative_to(base).parent if base and inside else "")
        partner = look(place, file.stem) if place.is_dir() else None
        if partner := partner or look(folder, file.stem):
            found[file] = partner
    missing = [str(file) for file in dict.fromkeys(exemplars) if file not in found]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(set(exemplars))} exemplars have no file of the same name (of "
            f"any ending) in folder {folder} of {option}: {few(missing)}; add their conditions"
        )
    owners: dict[Path, Path] = {}
    for file, partner in found.items():
        other = owners.setdefault(partner.resolve(), file)
        if other.resolve() != file.resolve():
            raise DataError(
                f"{partner} of {option} would be the condition of two exemplars, {other} and "
                f"{file}; put each one's into a folder of {folder} named as the exemplar's own "
                f"below {base or 'a common folder, with a list or a folder of exemplars'}"
            )
    return [found[file] for file in exemplars]


def listed(
    conditions: Sequence[Path], list_file: str, folder: Path | None, count: int
) -> list[list[Path]]:
    """For each condition its first `count` exemplars of a list in the toolkit's format.

    Args:
        list_file: lines `condition.jpg,exemplar1.jpg,...`; a condition's line is the one that its
            path ends in, else the one that it ends in but for the file's ending, else the one of
            its name without folder and ending.
        folder: that the exemplars' names are relative to; None for the list's own.

    Raises:
        DataError: the list is missing or broken, or lacks a condition or an exemplar of one, or
            two of its lines fit a condition equally and name other exemplars.
    """
    by_name: dict[str, list[ExemplarLine]] = {}
    for name, line in read_exemplar_list(list_file, "--exemplar-list").items():
        by_name.setdefault(Path(name).stem, []).append(line)
    missing = [path.name for path in conditions if path.stem not in by_name]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(conditions)} conditions have no line in exemplar list "
            f"{list_file}: {few(missing)}; add the lines"
        )
    base, found = folder or Path(list_file).parent, []
    for path in conditions:
        line = _line(path, by_name[path.stem], list_file, count)
        if len(line.exemplars) < count:
            raise DataError(
                f"exemplar list {list_file}, line {line.number}: {len(line.exemplars)} exemplars "
                f"for {path.name}, {count} are needed for as many --weights; add some"
            )
        files = [base / name for name in line.exemplars[:count]]
        for file in files:
            if not file.is_file():
                raise DataError(
                    f"exemplar list {list_file}, line {line.number}: {file} does not exist; "
                    f"correct the name, or give the folder of the exemplars as --exemplar"
                )
        found.append(files)
    return found


def _line(path: Path, lines: list[ExemplarLine], list_file: str, count: int) -> ExemplarLine:
    """The line of a condition, of those with its name."""
    whole = path.absolute()
    exact = [line for line in lines if _ends_in(whole, PurePosixPath(line.condition))]
    bare = [
        line
        for line in lines
        if _ends_in(whole.with_suffix(""), PurePosixPath(line.condition).with_suffix(""))
    ]
    first, *others = exact or bare or lines
    for other in others:
        if other.exemplars[:count] != first.exemplars[:count]:
            raise DataError(
                f"exemplar list {list_file}, lines {first.number} and {other.number}: "
                f"{first.condition} and {other.condition} both fit the condition {path}, and their "
                f"exemplars differ; delete one of the lines, or name the condition in one as its "
                f"path ends"
            )
    return first


def _ends_in(path: Path, name: PurePosixPath) -> bool:
    return path.parts[-len(name.parts) :] == name.parts
