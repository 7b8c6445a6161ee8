"""Exemplar lists: what they name, whom they leave out, and what they give away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from mcltoolkit.data.doctor.findings import Finding
from mcltoolkit.data.doctor.survey import SplitSurvey, Survey
from mcltoolkit.data.exemplars import ExemplarLine, read_exemplar_list
from mcltoolkit.data.near_duplicates import ROUNDING
from mcltoolkit.errors import DataError


def check_lists(survey: Survey, threshold: float) -> Iterator[Finding]:
    """The exemplar list of each split."""
    for split in survey.splits.values():
        if split.plan.exemplar_list is None:
            continue
        path = survey.plan.root / split.plan.exemplar_list
        try:
            lines = read_exemplar_list(path)
        except DataError as error:
            yield Finding(
                "list-unreadable",
                "error",
                str(error).split(";")[0].replace(str(path), split.plan.exemplar_list),
                (split.plan.exemplar_list,),
                "a text file with lines 'condition.jpg,exemplar1.jpg,...'",
                "write the list anew (tools/retrieve_exemplars.py), or set exemplar_list=None in "
                "the config",
            )
            continue
        name = _exemplar_split(survey, split)
        source = _surveyed(survey, name)
        if source is None:
            yield _unchecked(survey, split, name)
        yield from _check_list(survey, split, source, lines, threshold)
    without = [s.plan.name for s in survey.splits.values() if s.plan.exemplar_list is None]
    if without and survey.plan.annotations is not None:
        yield Finding(
            "no-exemplar-list",
            "note",
            "splits without an exemplar list: each picture is its own exemplar",
            tuple(without),
            "exemplars_SPLIT.txt with lines 'condition.jpg,exemplar1.jpg,...'",
            "make lists with tools/retrieve_exemplars.py; results on self-exemplars flatter",
        )


def _check_list(
    survey: Survey,
    split: SplitSurvey,
    source: SplitSurvey | None,
    lines: dict[str, ExemplarLine],
    threshold: float,
) -> Iterator[Finding]:
    plan, name_list = survey.plan, split.plan.exemplar_list
    offered = plan.shown(plan.image_folder(_exemplar_split(survey, split)))
    held_out = split.plan.role != "training"
    bad = "error" if held_out else "warning"
    missing, foreign, itself, near = [], [], [], []
    stems = {_stem(survey, condition): line for condition, line in lines.items()}
    row = {name: i for i, name in enumerate(split.vectors[0])}
    column = {name: i for i, name in enumerate(source.vectors[0])} if source else {}
    for name, line in stems.items():
        where = f"{name_list}, line {line.number}"
        if name not in split.image_paths:
            if split.plan.listed_only or not _elsewhere(survey, split, name):
                missing.append(f"{where}: condition {line.condition}")
            continue
        if source is None:
            continue
        for exemplar in line.exemplars:
            stem, words = _stem(survey, exemplar), f"{where}: {exemplar}"
            if stem in source.image_paths:
                if stem == name and source is split:
                    itself.append(words)
                elif name in row and stem in column:
                    one, other = split.vectors[1][row[name]], source.vectors[1][column[stem]]
                    score = float(np.dot(one, other))
                    if score >= threshold - ROUNDING:
                        near.append(f"{words} ~ {line.condition} ({score:.2f})")
            elif stem == name:
                itself.append(words)
            elif (owner := _elsewhere(survey, source, stem)) is not None:
                foreign.append(f"{words} (in {owner})")
            else:
                missing.append(words)
    uncovered = [plan.shown(p) for name, p in split.image_paths.items() if name not in stems]
    if missing:
        yield Finding(
            "list-missing-file",
            "error",
            f"{name_list} names images that do not exist",
            tuple(missing),
            f"conditions in {plan.shown(plan.image_folder(split.plan.name))}, exemplars in "
            f"{offered}",
            "correct the lines, or add the images",
        )
    if foreign:
        yield Finding(
            "list-foreign-exemplar",
            "error",
            f"{name_list} takes exemplars from a split other than {_exemplar_split(survey, split)}",
            tuple(foreign),
            f"exemplars in {offered}",
            f"make the list anew with exemplars of split {_exemplar_split(survey, split)} only",
        )
    if itself:
        yield Finding(
            "list-self-exemplar",
            bad,
            f"{name_list} gives pictures themselves as exemplar",
            tuple(itself),
            "another picture, whose condition resembles",
            "remove these exemplars: the answer is among the inputs",
        )
    if near:
        yield Finding(
            "list-near-duplicate",
            bad,
            f"{name_list} gives exemplars that are nearly the picture itself",
            tuple(near),
            f"other scenes (likeness below {threshold:g})",
            "make the list anew without near-duplicates (tools/retrieve_exemplars.py)",
        )
    if uncovered and not split.plan.listed_only:
        yield Finding(
            "list-incomplete",
            "error",
            f"{name_list} has no line for some images of split {split.plan.name}",
            tuple(uncovered),
            "a line for each image, or listed_only=True in the config",
            "add the lines, or make the list anew",
        )


def _exemplar_split(survey: Survey, split: SplitSurvey) -> str:
    """The split that the exemplars of a list lie in."""
    training = survey.plan.training()
    return split.plan.exemplar_split or (training.name if training else "training")


def _surveyed(survey: Survey, name: str) -> SplitSurvey | None:
    """A split by its name or, where folders have no `{split}`, another of the same folder."""
    folder = survey.plan.image_folder(name)
    alike = (s for n, s in survey.splits.items() if survey.plan.image_folder(n) == folder)
    return survey.splits.get(name) or next(alike, None)


def _unchecked(survey: Survey, split: SplitSurvey, name: str) -> Finding:
    """That nothing is known of a list's exemplars; an error where their folder does not exist."""
    folder = survey.plan.image_folder(name)
    there = folder.is_dir()
    return Finding(
        "list-unchecked",
        "note" if there else "error",
        f"the exemplars of {split.plan.exemplar_list} lie in split {name}, "
        f"{'which was not examined' if there else 'whose folder does not exist'}",
        (survey.plan.shown(folder),),
        "the exemplars' split among the splits examined",
        "examine the whole folder (ROOT in place of --config), or add a data loader of this split"
        if there
        else "add the folder, or set exemplar_split in the config to the split they lie in",
    )


def _stem(survey: Survey, listed: str) -> str:
    path = PurePosixPath(listed)
    suffixed = path.suffix.lower() in survey.plan.image_suffixes
    return str(path.with_suffix("") if suffixed else path)


def _elsewhere(survey: Survey, split: SplitSurvey, name: str) -> str | None:
    """Another split that has an image of this name."""
    others = (s for s in survey.splits.values() if s is not split)
    return next((s.plan.name for s in others if name in s.image_paths), None)
