"""What lies where: a data set's folders, told by their names or by a config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcltoolkit.data.folder import SUFFIXES
from mcltoolkit.errors import ConfigError, DataError

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "photos", "JPEGImages")
LABEL_FOLDERS = ("annotations", "labels", "label", "masks", "mask", "gt", "SegmentationClass")
SPLITS = {
    "training": ("training", "train"),
    "validation": ("validation", "val", "valid"),
    "test": ("test", "testing"),
}
PHOTO_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class SplitPlan:
    """One split: its name in the folders, its role, and what `FolderDataset` is told of it.

    The listed exemplars lie in `exemplar_split`; None: in the training split.
    """

    name: str
    role: str  # training, validation or test
    exemplar_list: str | None = None  # below the root
    listed_only: bool = False
    exemplar_split: str | None = None


@dataclass(frozen=True)
class Plan:
    """Where a data set's files are and what its labels may be; the words of `FolderDataset`.

    Args:
        root: folder of it all.
        splits: at least one.
        images, annotations: folders below the root, with `{split}`; annotations None: no labels.
        image_suffixes, label_suffix: which files are images, and how label files end.
        num_classes: K; None: to be inferred from the labels.
        classes: K names, if known.
        ignore_label: the class in 0..K-1 that means "unknown".
        label_map: label values to replace.
        colours: display colour of each class, if a palette file told it.
        size: (height, width) of the training crop.
    """

    root: Path
    splits: tuple[SplitPlan, ...]
    images: str
    annotations: str | None
    image_suffixes: tuple[str, ...] = SUFFIXES
    label_suffix: str = ".png"
    num_classes: int | None = None
    classes: tuple[str, ...] | None = None
    ignore_label: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    colours: tuple[tuple[int, int, int], ...] | None = None
    size: tuple[int, int] | None = None

    def image_folder(self, split: str) -> Path:
        """Folder of a split's images."""
        return self.root / self.images.format(split=split)

    def label_folder(self, split: str) -> Path | None:
        """Folder of a split's label maps, if there are any."""
        if self.annotations is None:
            return None
        return self.root / self.annotations.format(split=split)

    def training(self) -> SplitPlan | None:
        """The split to train on."""
        return next((split for split in self.splits if split.role == "training"), None)

    def shown(self, path: Path) -> str:
        """A path as findings name it: below the root where it is."""
        return path.relative_to(self.root).as_posix() if self.root in path.parents else str(path)


def role_of(split: str) -> str:
    """`training`, `validation` or `test`, told by the name of a split; anything else is a test."""
    return next((role for role, names in SPLITS.items() if split.lower() in names), "test")


def plan_of_folder(
    root: str | Path,
    *,
    num_classes: int | None = None,
    ignore_label: int | None = None,
    exemplar_list: str = "exemplars_{split}.txt",
    size: tuple[int, int] | None = None,
) -> Plan:
    """Find out how a folder is laid out.

    Known are `images/SPLIT` with `annotations/SPLIT` (and other common names of the two),
    `SPLIT/images` with `SPLIT/annotations`, `SPLIT` with photos (JPEG) and label maps side by side,
    and each of these without splits.

    Args:
        root: the folder.
        num_classes: K; None: the lines of classes.txt, or to be inferred.
        ignore_label: the value that means "unknown". Outside 0..K-1 (255, for example) it becomes
            one class more, K.
        exemplar_list: name of the lists below the root; those that exist are taken.
        size: see `Plan`.

    Raises:
        DataError: there is no such folder, or no images where they could be.
        ConfigError: num_classes contradicts classes.txt.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the folder that holds images/ and the rest")
    images, annotations, found = _layout(root)
    flat = images == annotations
    plan = Plan(
        root=root,
        splits=tuple(
            SplitPlan(name, role, name_list if (root / name_list).is_file() else None)
            for role, name in found.items()
            for name_list in [exemplar_list.format(split=name)]
        ),
        images=images,
        annotations=annotations,
        image_suffixes=PHOTO_SUFFIXES if flat else SUFFIXES,
        size=size,
    )
    plan = replace(plan, label_suffix=_label_suffix(plan))
    names = class_names(root / "classes.txt")
    return with_classes(plan, num_classes, names, ignore_label)


def with_classes(
    plan: Plan, num_classes: int | None, names: Sequence[str] | None, ignore_label: int | None
) -> Plan:
    """The plan with K, names and ignore label; an ignore label outside 0..K-1 becomes class K.

    Raises:
        ConfigError: K and the number of names differ.
    """
    if num_classes is not None and num_classes < 1:
        raise ConfigError(f"--num-classes is {num_classes}; allowed are values >= 1")
    if ignore_label is not None and ignore_label < 0:
        raise ConfigError(f"--ignore-label is {ignore_label}; allowed are values >= 0")
    if names is not None and num_classes not in (None, len(names)):
        raise ConfigError(
            f"--num-classes is {num_classes}, {plan.root / 'classes.txt'} has {len(names)} names; "
            f"correct one of them, or leave --num-classes out"
        )
    count = len(names) if names is not None else num_classes
    mapping = dict(plan.label_map)
    if count is not None and ignore_label is not None and ignore_label >= count:
        if ignore_label > count:
            mapping[ignore_label] = count
        ignore_label, count = count, count + 1
        names = None if names is None else [*names, "unknown"]
    return replace(
        plan,
        num_classes=count,
        classes=None if names is None else tuple(names),
        ignore_label=ignore_label,
        label_map=mapping,
    )


def raster_files(folder: Path | None, suffixes: Iterable[str] = SUFFIXES) -> list[Path]:
    """Picture files below a folder, sorted; hidden ones are left out."""
    if folder is None or not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in tuple(suffixes) and not path.name.startswith(".")
    )


def class_names(path: Path) -> list[str] | None:
    """The names in a class file, one a line; None where there is no file or no name.

    Raises:
        DataError: it is no text.
    """
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"class file {path} is not UTF-8 text ({error}); save it anew") from error
    return [line.strip() for line in lines if line.strip()] or None


def _layout(root: Path) -> tuple[str, str | None, dict[str, str]]:
    """Images, annotations and {role: split}."""
    base, labels = _first(root, IMAGE_FOLDERS), _first(root, LABEL_FOLDERS)
    if base is not None:
        found = _splits(root / base)
        if found:
            return f"{base}/{{split}}", labels and f"{labels}/{{split}}", found
        if raster_files(root / base):
            return base, labels, {"training": "training"}
    found = _splits(root)
    for split in found.values():
        inner = _first(root / split, IMAGE_FOLDERS)
        if inner is not None:
            labels = _first(root / split, LABEL_FOLDERS)
            return f"{{split}}/{inner}", labels and f"{{split}}/{labels}", found
        if raster_files(root / split):
            flat = _side_by_side(root / split)
            return "{split}", "{split}" if flat else None, found
    if raster_files(root):
        return ".", "." if _side_by_side(root) else None, {"training": "training"}
    raise DataError(
        f"{root} holds no images in a layout that is known; needed are images/training/NAME.jpg "
        f"and annotations/training/NAME.png below it (see docs/own-data.md)"
    )


def _side_by_side(folder: Path) -> bool:
    suffixes = {path.suffix.lower() for path in raster_files(folder)}
    return bool(suffixes & set(PHOTO_SUFFIXES)) and ".png" in suffixes


def _first(folder: Path, names: Sequence[str]) -> str | None:
    return next((name for name in names if (folder / name).is_dir()), None)


def _splits(folder: Path) -> dict[str, str]:
    return {
        role: name
        for role, names in SPLITS.items()
        for name in [_first(folder, names)]
        if name is not None
    }


def _label_suffix(plan: Plan) -> str:
    """What label names have more than image names, most often: `.png`, or `_label.png`."""
    endings: Counter[str] = Counter()
    for split in plan.splits:
        folder = plan.image_folder(split.name)
        stems = {p.stem for p in raster_files(folder, plan.image_suffixes)}
        for path in raster_files(plan.label_folder(split.name)):
            if plan.images == plan.annotations and path.suffix.lower() in plan.image_suffixes:
                continue
            ends = range(len(path.stem), 0, -1)
            stem = next((path.stem[:end] for end in ends if path.stem[:end] in stems), None)
            if stem is not None:
                endings[path.name[len(stem) :]] += 1
    return endings.most_common(1)[0][0] if endings else ".png"
