"""Which pictures a retrieval looks at: image files, their label maps, and their names in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mcltoolkit.data.folder import SUFFIXES
from mcltoolkit.data.records import few
from mcltoolkit.errors import ConfigError, DataError


@dataclass(frozen=True)
class Gallery:
    """N pictures of one folder, sorted by path.

    Attributes:
        folder: where they lie.
        names: path of each image below the folder, with its suffix, as an exemplar list writes it.
        images: their files.
        labels: their label maps, or None where none are used.
    """

    folder: Path
    names: tuple[str, ...]
    images: tuple[Path, ...]
    labels: tuple[Path, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)


def find_gallery(
    images: str | Path,
    labels: str | Path | None = None,
    image_suffixes: Sequence[str] = SUFFIXES,
    label_suffix: str = ".png",
    names_file: str | Path | None = None,
) -> Gallery:
    """The pictures below a folder, subfolders included, and their label maps of the same name.

    Where images and label maps lie in one folder, files that end in `label_suffix` are label maps.

    Args:
        images, labels: the folders.
        image_suffixes, label_suffix: of the files to take.
        names_file: text file with the names of the pictures to take, one a line, with or without
            suffix; backslashes become slashes, blank lines are skipped. None takes all.

    Raises:
        DataError: a folder is missing or holds no image, two images share a name, a name cannot
            stand in a list, an image has no label map, or a label map has no image; or the names
            file cannot be read, is empty or names a picture that is not there.
    """
    folder = _existing(images, "images")
    suffixes = [s.lower() for s in image_suffixes]
    if labels is not None and _existing(labels, "label maps").samefile(folder):
        suffixes = [s for s in suffixes if s != label_suffix]
    files = [p for p in _files(folder) if p.suffix.lower() in suffixes]
    if not files:
        raise DataError(
            f"folder {folder} holds no image; allowed are {', '.join(suffixes)}; correct the "
            f"folder, or add images"
        )
    if names_file is not None:
        files = _named(folder, files, Path(names_file))
    names = [p.relative_to(folder).as_posix() for p in files]
    _check_names(folder, names)
    return Gallery(
        folder,
        tuple(names),
        tuple(files),
        None
        if labels is None
        else _paired(folder, names, Path(labels), label_suffix, whole=names_file is None),
    )


def dataset_folders(root: str | Path, split: str) -> tuple[Path, Path]:
    """The folders of images and of label maps of a split below a data root.

    They are `images/SPLIT` and `annotations/SPLIT` (FolderDataset's layout and ADE20K's public
    one) or, where there is no `images`, `SPLIT` for both (the flat layout of CoCosNet).

    Raises:
        ConfigError: neither is there.
    """
    root = Path(root)
    places = [(root / "images" / split, root / "annotations" / split), (root / split, root / split)]
    for images, labels in places:
        if images.is_dir():
            return images, labels
    raise ConfigError(
        f"split {split!r} is neither at {places[0][0]} nor at {places[1][0]}; correct --data-root, "
        f"--split or --exemplar-split, or name the folders with --images and --labels"
    )


def stem(name: str) -> str:
    """A name of a list without its suffix."""
    return PurePosixPath(name).with_suffix("").as_posix()


def _existing(folder: str | Path, what: str) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"the folder of {what} {folder} does not exist; correct the path")
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def _named(folder: Path, files: Sequence[Path], path: Path) -> list[Path]:
    """The files that a names file names, in their own order."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"names file {path} cannot be read ({error}); needed is a text file with one name a "
            f"line; correct --names or --candidate-names"
        ) from error
    wanted: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            wanted.setdefault(line.strip().replace("\\", "/"), number)
    if not wanted:
        raise DataError(f"names file {path} is empty; write one name a line, at least 1")
    names = {file: file.relative_to(folder).as_posix() for file in files}
    known = {*names.values(), *map(stem, names.values())}
    missing = [f"line {n}: {name}" for name, n in wanted.items() if name not in known]
    if missing:
        raise DataError(
            f"names file {path}: {len(missing)} of {len(wanted)} names have no image in {folder}: "
            f"{few(missing)}; needed are paths below this folder, such as "
            f"{next(iter(names.values()))}: correct the lines, or the folder"
        )
    return [file for file, name in names.items() if name in wanted or stem(name) in wanted]


def _check_names(folder: Path, names: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(stem(name), name)
        if other != name:
            raise DataError(
                f"images {other} and {name} in {folder} have the same name but for the suffix; "
                f"allowed is one image for each name: remove one"
            )
    unfit = [n for n in names if n != n.strip() or any(sign in n for sign in ",\\\n\r")]
    if unfit:
        raise DataError(
            f"{len(unfit)} images in {folder} have names that an exemplar list cannot hold "
            f"({few([repr(n) for n in unfit])}): no comma, backslash, line break, or blank at the "
            f"ends is allowed; rename them"
        )


def _paired(
    folder: Path, names: Sequence[str], labels: Path, suffix: str, whole: bool
) -> tuple[Path, ...]:
    """The label maps of the names; others are an error where the `whole` folder is taken."""
    present = {
        p.relative_to(labels).as_posix(): p for p in _files(labels) if p.name.endswith(suffix)
    }
    wanted = [stem(name) + suffix for name in names]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} images in {folder} have no label map in {labels}: "
            f"{few(missing)}; add the label maps or remove the images"
        )
    alone = sorted(set(present) - set(wanted))
    if alone and whole:
        raise DataError(
            f"{len(alone)} of {len(present)} label maps in {labels} have no image in {folder}: "
            f"{few(alone)}; add the images or remove the label maps"
        )
    return tuple(present[name] for name in wanted)
