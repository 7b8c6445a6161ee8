"""Which files a translation reads, and where its pictures go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mcltoolkit.data.folder import SUFFIXES
from mcltoolkit.data.records import few
from mcltoolkit.errors import ConfigError, DataError

ARRAYS = (".npy",)


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort key in which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdecimal() else (-1, p.lower()) for p in parts] + [(-1, path.name)]


def files_in(folder: Path, suffixes: Sequence[str], option: str) -> list[Path]:
    """The files of a folder itself, not of folders below it, in natural order.

    Raises:
        DataError: there are none.
    """
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
    if not found:
        others = sorted({p.suffix or p.name for p in folder.iterdir() if p.is_file()})
        below = sorted(p.name for p in folder.iterdir() if p.is_dir())
        raise DataError(
            f"folder {folder} of {option} holds no file with the ending {', '.join(suffixes)} "
            f"(found: {few(others) if others else 'no files'}"
            f"{f'; folders {few(below)}, which are not entered' if below else ''}); correct "
            f"{option}"
        )
    return sorted(found, key=natural)


def condition_files(given: str, kind: str) -> list[Path]:
    """The conditions of `--condition`: a file, or a folder's files.

    Args:
        given: file or folder.
        kind: `labels` (pictures and arrays) or `maps` (arrays).

    Raises:
        DataError: it does not exist, the folder has none, or two would have one name.
    """
    path = Path(given)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"--condition {given} is neither a file nor a folder; correct the path")
    suffixes = (*SUFFIXES, *ARRAYS) if kind == "labels" else ARRAYS
    found = files_in(path, suffixes, "--condition")
    by_stem(found, "--condition")
    return found


def by_stem(files: Iterable[Path], option: str) -> dict[str, Path]:
    """Files by their name without ending.

    Raises:
        DataError: two of them have one.
    """
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            raise DataError(
                f"{found[path.stem]} and {path} of {option} have the same name without their "
                f"ending, so that their outputs would be one file; rename or remove one"
            )
        found[path.stem] = path
    return found


def output_files(
    given: str, option: str, conditions: Sequence[Path], steps: int, single: bool
) -> list[Path]:
    """Where pictures go: `given` itself for one picture, else NAME.png in the folder `given`, or
    NAME_01.png and so on for several steps of one condition.

    Raises:
        ConfigError: a file where a folder is needed, or a name that is not .png.
    """
    place = Path(given)
    if single and steps == 1 and not place.is_dir():
        if place.suffix.lower() != ".png":
            raise ConfigError(f"{option} {given} is no .png file name; pictures are written as PNG")
        return [place]
    if place.suffix.lower() in SUFFIXES or place.is_file():
        raise ConfigError(
            f"{option} {given} is a file name, but several pictures are written; give a folder"
        )
    if steps == 1:
        return [place / f"{path.stem}.png" for path in conditions]
    digits = len(str(steps))
    return [
        place / f"{path.stem}_{k:0{digits}d}.png"
        for path in conditions
        for k in range(1, steps + 1)
    ]


def check_outputs(
    written: Mapping[str, Sequence[Path]], read: Mapping[str, Sequence[Path]], overwrite: bool
) -> None:
    """No picture may take the place of another, or of a file that is read.

    Args:
        written, read: files by the option that named them.
        overwrite: files may be replaced that are not read.

    Raises:
        ConfigError: one would, or it cannot be written: a folder has its name, or a file that of
            the folder it goes to.
    """
    taken: dict[Path, tuple[str, Path]] = {}
    for option, files in read.items():
        for file in files:
            taken.setdefault(file.resolve(), (option, file))
    same_file = {_identity(file): place for place, (_, file) in taken.items() if file.exists()}
    there = []
    for option, files in written.items():
        for file in files:
            _check_place(file, option)
            place = file.resolve()
            if file.exists():  # one file by two names, or by one written in capitals
                place = same_file.get(_identity(file), place)
            if place in taken:
                other, name = taken[place]
                same = f"both {file}" if str(name) == str(file) else f"both {file} ({name})"
                raise ConfigError(f"{option} and {other} are {same}; give {option} another name")
            taken[place] = (option, file)
            if file.exists():
                there.append(file)
    if there and not overwrite:
        raise ConfigError(
            f"{len(there)} of the pictures to write exist already: {few([str(f) for f in there])}; "
            f"give --overwrite to replace them, or another --out"
        )


def _identity(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def _check_place(file: Path, option: str) -> None:
    if file.is_dir():
        raise ConfigError(f"{option}: {file} is a folder, but a picture goes there; rename it")
    above = next(folder for folder in file.absolute().parents if folder.exists())
    if not above.is_dir():
        raise ConfigError(
            f"{option}: {file} cannot be written, since {above} is a file and no folder; give "
            f"another place"
        )
