"""Records of data sets whose splits are text files of names: `train.txt` and `val.txt`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from mcltoolkit.data.exemplars import ExemplarLine, read_exemplar_list
from mcltoolkit.data.records import Picture, Record, few
from mcltoolkit.data.storage import read_text
from mcltoolkit.errors import ConfigError, DataError, near_matches

SPLIT_FILES = {"training": "train.txt", "validation": "val.txt"}


class Layout(ABC):
    """How the names in split files and exemplar lists become files.

    Args:
        data_root: the folder of it all.
        needed: folders below it that must exist.

    Raises:
        DataError: a folder is missing.
    """

    form: str
    """What a name looks like, for messages."""

    def __init__(self, data_root: str | Path, needed: Iterable[str]) -> None:
        self.root = Path(data_root)
        for folder in (self.root, *(self.root / name for name in needed)):
            if not folder.is_dir():
                raise DataError(
                    f"folder {folder} does not exist; set data_root, or give --data-root, to the "
                    f"folder that holds {', '.join(needed)}, train.txt and val.txt"
                )
        self._names: dict[Path, frozenset[str]] = {}

    @abstractmethod
    def name(self, written: str) -> str | None:
        """The picture's name; None where `written` has another form."""

    @abstractmethod
    def picture(self, name: str) -> Picture:
        """The picture's files, whether they exist or not."""

    @abstractmethod
    def missing(self, name: str) -> Path | None:
        """A needed file of the picture that is not there."""

    def exists(self, path: Path) -> bool:
        """Whether there is such a file. Each folder is listed once, since a data set asks for
        thousands of files of each."""
        folder = path.parent
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))
            except (OSError, ValueError):  # no folder, or no name that a folder could have
                self._names[folder] = frozenset()
        return path.name in self._names[folder]


def listed_records(
    layout: Layout,
    split: str,
    exemplar_list: str | None = None,
    exemplar_split: str | None = None,
    max_samples: int | None = None,
) -> list[Record]:
    """The records of a split.

    Args:
        layout: of the data set.
        split: `training` (train.txt) or `validation` (val.txt).
        exemplar_list: file below `data_root` with lines `condition,exemplar1,exemplar2,...`; each
            picture of the split needs one, lines of other pictures are passed over. None makes
            each image its own exemplar.
        exemplar_split: the split that the listed exemplars must belong to; None takes any picture.
        max_samples: use the first so many; None uses all.

    Raises:
        DataError: a file is missing or malformed, or names a picture that is not there.
        ConfigError: a setting is not allowed.
    """
    if max_samples is not None and max_samples < 1:
        raise ConfigError(f"max_samples is {max_samples}; allowed are values >= 1, or None")
    names = list(_present(layout, split))[:max_samples]
    if exemplar_list is None:
        return [Record(layout.picture(name)) for name in names]
    path = layout.root / exemplar_list.format(split=split)
    lines = read_named_lines(path, layout)
    without = [name for name in names if name not in lines]
    if without:
        raise DataError(
            f"exemplar list {path} has no line for {len(without)} of {len(names)} pictures of "
            f"split {split!r}: {few(without)}; add the lines, or take the pictures out of "
            f"{layout.root / SPLIT_FILES[split]}"
        )
    allowed = None if exemplar_split is None else read_split(layout, exemplar_split)
    known: dict[str, Picture] = {}
    for name in names:
        for written in lines[name].exemplars:
            if written in known:
                continue
            exemplar = find(layout, written, path, lines[name])
            if allowed is not None and exemplar not in allowed:
                raise DataError(
                    f"exemplar list {path}, line {lines[name].number}: exemplar {written!r} is not "
                    f"of split {exemplar_split!r} ({layout.root / SPLIT_FILES[str(exemplar_split)]}"
                    f"); correct the line, or set exemplar_split=None to take any picture"
                )
            known[written] = layout.picture(exemplar)
    return [
        Record(layout.picture(name), tuple(known[written] for written in lines[name].exemplars))
        for name in names
    ]


def read_split(layout: Layout, split: str) -> dict[str, int]:
    """Names of a split, in the file's order, with their line numbers from 1.

    Backslashes become slashes and blank lines are skipped.

    Raises:
        ConfigError: there is no such split.
        DataError: the file is missing, not text or empty, or a line is no name or comes twice.
    """
    if split not in SPLIT_FILES:
        raise ConfigError(
            f"split is {split!r}{near_matches(split, SPLIT_FILES)}; allowed are "
            f"{', '.join(f'{name} ({file})' for name, file in SPLIT_FILES.items())}"
        )
    path = layout.root / SPLIT_FILES[split]
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise DataError(
            f"split file {path} does not exist; write the pictures of split {split!r} into it, one "
            f"a line ({layout.form}), or correct data_root (--data-root)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"split file {path} cannot be read as UTF-8 text ({error}); save it anew"
        ) from error
    names: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip().replace("\\", "/")
        if not written:
            continue
        name = layout.name(written)
        if name is None:
            raise DataError(
                f"split file {path}, line {number}: {line.strip()!r} found, allowed are "
                f"{layout.form}; correct or delete the line"
            )
        if name in names:
            raise DataError(
                f"split file {path}, line {number}: {line.strip()!r} stands in line {names[name]} "
                f"already; allowed is one line a picture: delete one of them"
            )
        names[name] = number
    if not names:
        raise DataError(
            f"split file {path} is empty: 0 names found, at least 1 is needed; write one picture a "
            f"line ({layout.form})"
        )
    return names


def read_named_lines(
    path: Path, layout: Layout, setting: str = "exemplar_list"
) -> dict[str, ExemplarLine]:
    """The lines of an exemplar list by the name of their condition.

    Raises:
        DataError: see `read_exemplar_list`; or a condition is no name.
    """
    lines: dict[str, ExemplarLine] = {}
    for written, line in read_exemplar_list(path, setting).items():
        name = layout.name(written)
        if name is None:
            raise DataError(
                f"exemplar list {path}, line {line.number}: condition {written!r} found, allowed "
                f"are {layout.form}; correct the line"
            )
        lines[name] = line
    return lines


def find(layout: Layout, written: str, path: Path, line: ExemplarLine) -> str:
    """The name of a picture that a list names as exemplar.

    Raises:
        DataError: it has another form, or a file of it is not there.
    """
    name = layout.name(written)
    if name is None:
        raise DataError(
            f"exemplar list {path}, line {line.number}: exemplar {written!r} found, allowed are "
            f"{layout.form}; correct the line"
        )
    missing = layout.missing(name)
    if missing is not None:
        raise DataError(
            f"exemplar list {path}, line {line.number}: exemplar {written!r} needs the file "
            f"{missing}, which does not exist; correct the line, or add the file"
        )
    return name


def _present(layout: Layout, split: str) -> dict[str, int]:
    names = read_split(layout, split)
    missing = {name: file for name in names if (file := layout.missing(name)) is not None}
    if missing:
        first = next(iter(missing))
        raise DataError(
            f"split file {layout.root / SPLIT_FILES[split]}, line {names[first]}: {first} needs "
            f"the file {missing[first]}, which does not exist; files of {len(missing)} of "
            f"{len(names)} pictures are missing ({few(list(missing))}): correct the lines, add the "
            f"files, or correct data_root (--data-root)"
        )
    return names
