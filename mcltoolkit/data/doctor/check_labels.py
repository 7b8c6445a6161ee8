"""Label maps: channels, lossy formats, values, and classes that nobody uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np

from mcltoolkit.data.doctor.facts import LabelFacts
from mcltoolkit.data.doctor.findings import ClassShare, Finding
from mcltoolkit.data.doctor.survey import Survey
from mcltoolkit.data.images import LABEL_MODES
from mcltoolkit.data.label_colours import unpack_colour

SPECKLE = 0.15  # see `facts.speckle`
FREE_VALUES = (255, 65535)  # the usual marks for "unknown"


def mapped(facts: LabelFacts, survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Values of a label file after the label map, with their pixels; colours give none."""
    if facts.values is None or facts.counts is None:
        none = np.zeros(0, dtype=np.int64)
        return none, none
    mapping = survey.plan.label_map
    return np.array([mapping.get(int(v), int(v)) for v in facts.values], np.int64), facts.counts


def infer_num_classes(survey: Survey) -> int | None:
    """The largest value + 1; None without labels.

    Lossy files and values that mean "unknown" (the usual marks, the ignore label) do not count: an
    ignore label above the classes becomes one more, see `with_classes`.
    """
    unknown = (*FREE_VALUES, survey.plan.ignore_label)
    largest = [
        int(v)
        for _, facts in survey.all_labels()
        if not facts.lossy
        for v in (facts.values if facts.values is not None else ())
        if int(v) not in unknown
    ]
    return max(largest) + 1 if largest else None


def class_shares(survey: Survey, splits: tuple[str, ...] | None = None) -> list[ClassShare]:
    """Share of pixels and of label maps of each class; of the named splits only, if given."""
    count = survey.plan.num_classes or 0
    pixels, files, total = np.zeros(count), np.zeros(count), 0
    for name, split in survey.splits.items():
        if splits is not None and name not in splits:
            continue
        for facts in split.labels.values():
            values, counts = mapped(facts, survey)
            if not len(values):
                continue
            total += 1
            inside = (values >= 0) & (values < count)
            np.add.at(pixels, values[inside], counts[inside])
            files[np.unique(values[inside])] += 1
    names = survey.plan.classes or tuple(f"class {k}" for k in range(count))
    whole = max(pixels.sum(), 1)
    return [
        ClassShare(k, names[k], float(pixels[k] / whole), float(files[k] / max(total, 1)))
        for k in range(count)
    ]


def common_colours(survey: Survey) -> list[tuple[int, float, int]]:
    """Packed colours of all label maps in colours, most frequent first: (colour, share, files)."""
    pixels: Counter[int] = Counter()
    files: Counter[int] = Counter()
    for _, facts in survey.all_labels():
        if facts.colours is None or facts.colour_counts is None:
            continue
        for colour, count in zip(facts.colours.tolist(), facts.colour_counts.tolist(), strict=True):
            pixels[colour] += count
            files[colour] += 1
    whole = sum(pixels.values())
    ordered = sorted(pixels, key=lambda colour: (-pixels[colour], colour))
    return [(colour, pixels[colour] / whole, files[colour]) for colour in ordered]


def check_channels(survey: Survey, by_colour: bool = False) -> Iterator[Finding]:
    """Label maps drawn in colours; all of them, if they were read `by_colour`."""
    plan = survey.plan
    coloured, grey = [], True
    for path, facts in survey.all_labels():
        if facts.one_channel and not by_colour:
            continue
        coloured.append(f"{plan.shown(path)} ({facts.mode})")
        if facts.colours is not None:
            grey = grey and all(len({*unpack_colour(int(c))}) == 1 for c in facts.colours)
    if not coloured:
        return
    shown = ", ".join(
        f"{list(unpack_colour(colour))} {share:.1%}"
        for colour, share, _ in islice(common_colours(survey), 4)
    )
    words = "grey values in three channels" if grey else "colours instead of class numbers"
    yield Finding(
        "label-colours",
        "error",
        f"label maps with {words}: {shown}",
        tuple(coloured),
        f"one channel with the class number of each pixel (PIL modes {', '.join(LABEL_MODES)})",
        "--convert-labels FOLDER writes them as class numbers, by the palette file"
        if by_colour
        else "say which colour is which class in a palette file (--palette-out FILE writes a "
        "start), then --palette FILE --convert-labels FOLDER",
    )


def check_lossy(survey: Survey) -> Iterator[Finding]:
    """Label maps whose values a lossy format has changed."""
    plan = survey.plan
    lossy = [(path, facts) for path, facts in survey.all_labels() if facts.lossy]
    if lossy:
        yield Finding(
            "lossy-label",
            "error",
            "label maps in a lossy format, which changes class numbers near borders",
            tuple(f"{plan.shown(path)} ({facts.format})" for path, facts in lossy),
            "PNG (or another lossless format)",
            "export the label maps anew as PNG; converting the files does not bring values back",
        )
    speckled = [
        plan.shown(path)
        for path, facts in survey.all_labels()
        if not facts.lossy and (facts.speckle > SPECKLE or facts.more_colours)
    ]
    if speckled:
        yield Finding(
            "speckled-label",
            "warning",
            "label maps full of single pixels at borders, as after JPEG or smooth resizing",
            tuple(speckled),
            "areas of one value with clean borders",
            "look at the files; export them anew as PNG, resize with nearest neighbour",
        )


def check_values(survey: Survey) -> Iterator[Finding]:
    """Values outside 0..K-1, label maps of a single value; lossy files have a finding already."""
    plan = survey.plan
    count = plan.num_classes
    if count is None:
        return
    outside, blank = [], []
    wrong: Counter[int] = Counter()
    for path, facts in survey.all_labels():
        if facts.lossy:
            continue
        values, counts = mapped(facts, survey)
        bad = (values < 0) | (values >= count)
        if bad.any():
            found = values[bad].tolist()
            more = f" and {len(found) - 5} more" if len(found) > 5 else ""
            outside.append(f"{plan.shown(path)} ({', '.join(map(str, found[:5]))}{more})")
            wrong.update(dict(zip(found, counts[bad].tolist(), strict=True)))
        elif len(values) == 1:
            blank.append(f"{plan.shown(path)} ({values[0]})")
    if outside:
        total = sum(int(f.counts.sum()) for _, f in survey.all_labels() if f.counts is not None)
        shares = ", ".join(f"{v} ({n / total:.2%} of pixels)" for v, n in wrong.most_common(5))
        mark = next((v for v in wrong if v in FREE_VALUES), None)
        alone = mark is not None and len(wrong) == 1
        yield Finding(
            "label-range",
            "error",
            f"label values outside 0..{count - 1}: {shares}",
            tuple(outside),
            f"class numbers 0..{count - 1}",
            f"if {mark} means unknown: --ignore-label {mark}"
            if alone
            else "correct the files, give the right --num-classes, or use --palette for grey maps",
        )
    if blank:
        yield Finding(
            "blank-label",
            "warning",
            "label maps of a single value",
            tuple(blank),
            "two classes or more in a picture",
            "look at them; an empty export looks like this",
        )


def check_classes(survey: Survey) -> Iterator[Finding]:
    """Classes that occur nowhere, or in held-out splits only."""
    plan = survey.plan
    training = tuple(split.name for split in plan.splits if split.role == "training")
    shares = class_shares(survey)
    if not shares or not any(share.pixels for share in shares):
        return
    unused = [share for share in shares if share.pixels == 0]
    if unused:
        first = "; the ids seem to start at 1" if unused == shares[:1] else ""
        yield Finding(
            "unused-class",
            "warning",
            f"classes that no label map has{first}",
            tuple(f"{share.number} {share.name}" for share in unused),
            f"0..{len(shares) - 1} without gaps, each used",
            "renumber the classes, or go on: an unused class costs a channel and does no harm",
        )
    if not training:
        return
    learnt = class_shares(survey, training)
    unseen = [s for s, t in zip(shares, learnt, strict=True) if s.pixels > 0 and t.pixels == 0]
    if unseen:
        yield Finding(
            "untrained-class",
            "warning",
            "classes in held-out splits that training never shows",
            tuple(f"{share.number} {share.name}" for share in unseen),
            "each class in training too",
            "move some of these pictures to training, or merge the classes",
        )


def check_inferred(survey: Survey, inferred: bool) -> Iterator[Finding]:
    """Whether the number of classes was told or seen."""
    if inferred:
        yield Finding(
            "classes-inferred",
            "note",
            f"the number of classes was taken from the label maps: {survey.plan.num_classes}",
            (str(survey.plan.root / "classes.txt"),),
            "classes.txt with one name a line, or --num-classes",
            "write classes.txt; the reports then show names",
        )
