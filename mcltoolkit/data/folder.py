"""A plain folder of images, label maps and, if wanted, exemplar lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mcltoolkit.data.conditions import Colours
from mcltoolkit.data.exemplar_dataset import ExemplarDataset, Step
from mcltoolkit.data.exemplars import ExemplarChoice, ExemplarLine, read_exemplar_list
from mcltoolkit.data.records import Picture, Record, few
from mcltoolkit.data.storage import read_text
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.registry import DATASETS

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@DATASETS.register_module()
class FolderDataset(ExemplarDataset):
    """Images and label maps of the same name in two folders (or in one, with two suffixes).

        data_root/images/training/NAME.jpg
        data_root/annotations/training/NAME.png     one channel, class numbers 0..K-1
        data_root/classes.txt                       K names, line k (from 0) = class k
        data_root/exemplars_training.txt            condition.jpg,exemplar1.jpg,...

    Args:
        data_root: the folder of it all.
        split: replaces `{split}` in the following settings.
        num_classes: K; None takes the number of `classes`.
        images, annotations: folders below `data_root`; images may lie deeper in subfolders.
        image_suffixes, label_suffix: of the files to take, lower case.
        exemplar_list: file below `data_root`; None makes each image its own exemplar.
        exemplar_split: the split that the listed exemplars lie in.
        listed_only: use the conditions in the list, in its order, and no others; otherwise every
            image of the split needs a line.
        classes: a file below `data_root`, or the names themselves.
        max_samples: use the first so many; None uses all.
        palette, ignore_label, label_map, geometry, exemplar_geometry, exemplar_choice, seed: see
            `ExemplarDataset`.

    Raises:
        DataError: a folder or file is missing, an image has no label map, or the list does not
            fit; the message names the path and the setting.
        ConfigError: a setting is not allowed.
    """

    def __init__(
        self,
        data_root: str | Path,
        split: str = "training",
        num_classes: int | None = None,
        images: str = "images/{split}",
        annotations: str = "annotations/{split}",
        image_suffixes: Sequence[str] = SUFFIXES,
        label_suffix: str = ".png",
        exemplar_list: str | None = None,
        exemplar_split: str = "training",
        listed_only: bool = False,
        classes: str | Sequence[str] = "classes.txt",
        palette: Colours | None = None,
        ignore_label: int | None = None,
        label_map: Mapping[int, int] | None = None,
        geometry: Iterable[Step] = (),
        exemplar_geometry: Iterable[Step] | None = None,
        exemplar_choice: ExemplarChoice | Mapping[str, Any] | str = "recipe",
        max_samples: int | None = None,
        seed: int = 0,
    ) -> None:
        self.data_root = Path(data_root)
        self.split = split
        if not self.data_root.is_dir():
            raise DataError(
                f"data_root {self.data_root} is not a folder; set data_root, or give --data-root, "
                f"to the folder that holds {images.format(split=split)}"
            )
        if max_samples is not None and max_samples < 1:
            raise ConfigError(f"max_samples is {max_samples}; allowed are values >= 1, or None")
        self._folders = (images, annotations)
        self._found: dict[str, dict[str, Path]] = {}
        self._image_suffixes = tuple(s.lower() for s in image_suffixes)
        self._label_suffix = label_suffix
        names = self._class_names(classes, num_classes)
        choice = ExemplarChoice.of(exemplar_choice)
        if choice.mode == "first" and exemplar_list is None:
            raise ConfigError(
                "exemplar_choice mode 'first' needs an exemplar list, exemplar_list is None; set "
                "it to a file below data_root, or use mode 'self'"
            )
        found = self._images(split)
        if exemplar_list is None:
            records = [Record(p) for p in self._with_labels(split, list(found)[:max_samples])]
        else:
            path = self.data_root / exemplar_list.format(split=split)
            records = self._listed(path, split, found, exemplar_split, listed_only, max_samples)
        self._found.clear()  # the data set travels to every loader worker
        super().__init__(
            records,
            num_classes=num_classes or len(names or ()),
            classes=names,
            palette=palette,
            ignore_label=ignore_label,
            label_map=label_map,
            geometry=geometry,
            exemplar_geometry=exemplar_geometry,
            exemplar_choice=choice,
            seed=seed,
        )

    def _class_names(
        self, classes: str | Sequence[str], num_classes: int | None
    ) -> list[str] | None:
        if not isinstance(classes, str):
            return list(classes)
        path = self.data_root / classes
        if not path.is_file():
            if num_classes is None:
                raise DataError(
                    f"the number of classes is unknown: num_classes is not set and the class file "
                    f"{path} does not exist; set num_classes, or write one class name a line"
                )
            return None
        try:
            text = read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"class file {path} cannot be read as UTF-8 text ({error}); save it anew"
            ) from error
        names = [stripped for line in text.splitlines() if (stripped := line.strip())]
        if not names:
            raise DataError(
                f"class file {path} is empty: 0 names found, at least 1 is needed; write one class "
                f"name a line, or delete the file and set num_classes"
            )
        if num_classes not in (None, len(names)):
            raise DataError(
                f"class file {path} has {len(names)} names, num_classes is {num_classes}; correct "
                f"one of them"
            )
        return names

    def _folder(self, which: int, split: str) -> Path:
        folder = self.data_root / self._folders[which].format(split=split)
        if not folder.is_dir():
            setting = ("images", "annotations")[which]
            present = sorted(p.name for p in folder.parent.glob("*") if p.is_dir())
            raise DataError(
                f"folder {folder} of split {split!r} does not exist"
                f"{f' (found there: {few(present)})' if present else ''}; correct split, "
                f"{setting} or data_root (--data-root)"
            )
        return folder

    def _images(self, split: str) -> dict[str, Path]:
        """Image files by name: the path below the folder, without suffix."""
        if split in self._found:
            return self._found[split]
        folder = self._folder(0, split)
        found: dict[str, Path] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in self._image_suffixes or path.name.startswith("."):
                continue
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise DataError(
                    f"images {found[name]} and {path} have the same name {name!r}; allowed is one "
                    f"image for each name: remove one, or narrow image_suffixes"
                )
            found[name] = path
        if not found:
            raise DataError(
                f"folder {folder} holds no image; allowed are {', '.join(self._image_suffixes)}; "
                f"correct images or data_root (--data-root)"
            )
        self._found[split] = found
        return found

    def _with_labels(self, split: str, names: Sequence[str]) -> list[Picture]:
        image_folder, folder = self._folder(0, split), self._folder(1, split)
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*")}
        missing = [name for name in names if name + self._label_suffix not in present]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(names)} images in {image_folder} have no label map "
                f"NAME{self._label_suffix} in {folder}: {few(missing)}; add the label maps or "
                f"remove the images"
            )
        images = self._images(split)
        return [
            Picture(name, str(images[name]), str(folder / (name + self._label_suffix)))
            for name in names
        ]

    def _stem(self, listed: str) -> str:
        path = PurePosixPath(listed)
        return str(path.with_suffix("") if path.suffix.lower() in self._image_suffixes else path)

    def _listed(
        self,
        path: Path,
        split: str,
        found: Mapping[str, Path],
        exemplar_split: str,
        listed_only: bool,
        max_samples: int | None,
    ) -> list[Record]:
        lines = {self._stem(name): line for name, line in read_exemplar_list(path).items()}
        if listed_only:
            for name, line in lines.items():
                if name not in found:
                    raise self._absent(path, line, "condition", line.condition, split)
        names = list(lines if listed_only else found)[:max_samples]
        without = [name for name in names if name not in lines]
        if without:
            raise DataError(
                f"exemplar list {path} has no line for {len(without)} of {len(names)} images of "
                f"split {split!r}: {few(without)}; add the lines, or set listed_only=True to use "
                f"the listed conditions alone"
            )
        offered = self._images(exemplar_split)
        wanted: dict[str, None] = {}
        for name in names:
            for exemplar in lines[name].exemplars:
                if self._stem(exemplar) not in offered:
                    raise self._absent(path, lines[name], "exemplar", exemplar, exemplar_split)
                wanted[self._stem(exemplar)] = None
        pictures = {p.name: p for p in self._with_labels(exemplar_split, list(wanted))}
        return [
            Record(
                condition,
                tuple(pictures[self._stem(name)] for name in lines[condition.name].exemplars),
            )
            for condition in self._with_labels(split, names)
        ]

    def _absent(
        self, path: Path, line: ExemplarLine, what: str, name: str, split: str
    ) -> DataError:
        setting = "exemplar_split" if what == "exemplar" else "split"
        return DataError(
            f"exemplar list {path}, line {line.number}: {what} {name!r} does not exist in "
            f"{self._folder(0, split)}; correct the line, add the image, or set {setting}"
        )
