"""Pairing, readability, channels and sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mcltoolkit.data.doctor.findings import Finding
from mcltoolkit.data.doctor.survey import Survey
from mcltoolkit.data.images import IMAGE_MODES

STRETCH = 1.5  # a picture squeezed by more than this looks wrong


def check_layout(survey: Survey) -> Iterator[Finding]:
    """Whether there are label maps at all, something to train on, and something to test on."""
    plan = survey.plan
    if plan.annotations is None:
        yield Finding(
            "no-labels",
            "error",
            "images without any label maps",
            (str(plan.root),),
            "annotations/SPLIT/NAME.png for each images/SPLIT/NAME.jpg: the class of each pixel",
            "draw label maps, or make them with a segmentation network for your kind of photo",
        )
    roles = {split.role for split in plan.splits}
    if "training" not in roles:
        yield Finding(
            "no-training-split",
            "error",
            "nothing to train on",
            tuple(split.name for split in plan.splits),
            "a split named training (or train)",
            "add images/training and annotations/training",
        )
    if roles == {"training"}:
        yield Finding(
            "no-held-out-split",
            "warning",
            "nothing to validate or test on",
            tuple(split.name for split in plan.splits),
            "splits training and test (or validation), without common scenes",
            "move a tenth of the images and label maps to images/test and annotations/test",
        )
    left_out = _left_out(survey)
    if left_out:
        yield Finding(
            "folder-left-out",
            "note",
            "folders beside the splits that are not examined",
            tuple(left_out),
            f"the splits {', '.join(split.name for split in plan.splits)}",
            "rename a folder to training, validation or test if it is meant to be one",
        )
    empty = [s.plan.name for s in survey.splits.values() if not s.image_paths]
    if empty:
        yield Finding(
            "empty-split",
            "error",
            "splits without images",
            tuple(empty),
            f"files {', '.join(plan.image_suffixes)} in {plan.images}",
            "add images, or remove the empty folders",
        )


def _left_out(survey: Survey) -> list[str]:
    """Folders of images where the splits are, that are none."""
    plan = survey.plan
    if not plan.images.endswith("/{split}"):
        return []
    base = plan.root / plan.images.removesuffix("/{split}")
    names = {split.name for split in plan.splits}
    return sorted(plan.shown(p) for p in base.iterdir() if p.is_dir() and p.name not in names)


def check_pairing(survey: Survey) -> Iterator[Finding]:
    """Image and label map of the same name."""
    plan = survey.plan
    if plan.annotations is None:
        return
    lonely, loose, clashes = [], [], []
    for split in survey.splits.values():
        lonely += [
            plan.shown(path)
            for name, path in split.image_paths.items()
            if name not in split.label_paths
        ]
        loose += [
            plan.shown(path)
            for name, path in split.label_paths.items()
            if name not in split.image_paths
        ]
        clashes += [f"{plan.shown(a)} ~ {plan.shown(b)}" for a, b in split.clashes]
    if lonely:
        yield Finding(
            "image-without-label",
            "error",
            "images without a label map",
            tuple(lonely),
            f"{plan.annotations}/NAME{plan.label_suffix} for each image",
            "add the label maps, or move the images away",
        )
    if loose:
        yield Finding(
            "label-without-image",
            "warning",
            "label maps without an image; they are not used",
            tuple(loose),
            f"{plan.images}/NAME with {', '.join(plan.image_suffixes)} for each label map",
            "add the images, correct the names, or remove the label maps",
        )
    if clashes:
        yield Finding(
            "same-name",
            "error",
            "two images of one name",
            tuple(clashes),
            "one image a name, whatever the suffix",
            "remove or rename one of each pair",
        )


def check_readable(survey: Survey) -> Iterator[Finding]:
    """Files that are empty, truncated or no pictures."""
    plan = survey.plan
    for kind in ("image", "label"):
        broken = []
        for split in survey.splits.values():
            facts = split.images if kind == "image" else split.labels
            paths = split.image_paths if kind == "image" else split.label_paths
            broken += [
                f"{plan.shown(paths[name])} ({fact.problem})"
                for name, fact in facts.items()
                if fact.problem is not None
            ]
        if broken:
            yield Finding(
                f"unreadable-{kind}",
                "error",
                f"{'images' if kind == 'image' else 'label maps'} that cannot be read",
                tuple(broken),
                "whole files of a format that PIL reads",
                "copy or download the files again",
            )


def check_modes(survey: Survey) -> Iterator[Finding]:
    """Images with transparency, 16 bits or CMYK; images of one colour."""
    plan = survey.plan
    wrong, plain = [], []
    for path, facts in survey.all_images():
        if not facts.readable_mode:
            wrong.append(f"{plan.shown(path)} ({facts.mode})")
        elif facts.vector is not None and not facts.vector.any():
            plain.append(plan.shown(path))
    if wrong:
        yield Finding(
            "image-mode",
            "error",
            "images of a mode that is not read",
            tuple(wrong),
            f"PIL modes {', '.join(IMAGE_MODES)} with 8 bits",
            "convert them, for example PIL.Image.open(f).convert('RGB').save(f)",
        )
    if plain:
        yield Finding(
            "blank-image",
            "warning",
            "images of one colour",
            tuple(plain),
            "photos",
            "remove them and their label maps",
        )


def check_sizes(survey: Survey) -> Iterator[Finding]:
    """Label maps of another size than the image; images that are small or stretched."""
    plan = survey.plan
    differ = []
    for split in survey.splits.values():
        for name, image in split.images.items():
            label = split.labels.get(name)
            if label is None or label.problem is not None or image.problem is not None:
                continue
            if (image.height, image.width) != (label.height, label.width):
                differ.append(
                    f"{plan.shown(split.image_paths[name])} ({image.height}x{image.width}, label "
                    f"{label.height}x{label.width})"
                )
    if differ:
        yield Finding(
            "label-size",
            "error",
            "label maps of another size than their image (height x width)",
            tuple(differ),
            "the same size",
            "resize the label maps with nearest neighbour, never bilinear",
        )
    if plan.size is None:
        return
    height, width = plan.size
    small = [
        f"{plan.shown(path)} ({facts.height}x{facts.width})"
        for path, facts in survey.all_images()
        if facts.height < height or facts.width < width
    ]
    if small:
        yield Finding(
            "small-image",
            "warning",
            f"images smaller than the training size {height}x{width}; they are enlarged",
            tuple(small),
            f"at least {height}x{width} pixels (height x width)",
            "use larger originals, or a smaller --size",
        )
    stretched = [
        f"{plan.shown(path)} ({facts.height}x{facts.width})"
        for path, facts in survey.all_images()
        if abs(np.log(facts.width / facts.height * height / width)) > np.log(STRETCH)
    ]
    if stretched:
        yield Finding(
            "stretched-image",
            "note",
            f"images whose aspect differs by more than a factor {STRETCH} from {height}x{width}",
            tuple(stretched),
            "images of about one aspect",
            "crop them, or set --size HEIGHTxWIDTH to the commonest aspect",
        )
