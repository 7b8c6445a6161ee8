"""Near-duplicates: inside a split, and from training into what shall measure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from mcltoolkit.data.doctor.findings import Finding
from mcltoolkit.data.doctor.survey import SplitSurvey, Survey
from mcltoolkit.data.near_duplicates import near_duplicate_blocks


def check_leaks(survey: Survey, threshold: float) -> Iterator[Finding]:
    """Pictures of one split that nearly occur in another."""
    leaks: list[str] = []
    shared: list[str] = []
    for one, other in combinations(survey.splits.values(), 2):
        training = "training" in (one.plan.role, other.plan.role)
        source, held = (other, one) if other.plan.role == "training" else (one, other)
        found = [
            f"{_shown(survey, held, name)} ~ {_shown(survey, source, twin)} ({score:.2f})"
            for name, (twin, score) in _nearest(held, source, threshold).items()
        ]
        (leaks if training else shared).extend(found)
    if leaks:
        yield Finding(
            "leak",
            "error",
            "held-out images that training nearly has",
            tuple(leaks),
            f"scenes of their own in each split (likeness below {threshold:g})",
            "remove them from one of the splits; split videos by sequence, not by frame",
        )
    if shared:
        yield Finding(
            "shared-held-out",
            "warning",
            "images that two held-out splits nearly share",
            tuple(shared),
            f"scenes of their own in each split (likeness below {threshold:g})",
            "remove them from one of the splits",
        )


def check_repeats(survey: Survey, threshold: float) -> Iterator[Finding]:
    """Pictures that nearly occur twice in one split."""
    for split in survey.splits.values():
        found = _nearest(split, None, threshold)
        if found:
            yield Finding(
                "repeats",
                "warning",
                f"images of split {split.plan.name} that nearly repeat an earlier one "
                f"({len(found) / max(1, len(split.images)):.0%} of it)",
                tuple(
                    f"{_shown(survey, split, name)} ~ {_shown(survey, split, twin)} ({score:.2f})"
                    for name, (twin, score) in found.items()
                ),
                f"different scenes (likeness below {threshold:g})",
                "thin out video frames; numbers on repeats say little",
            )


def _nearest(
    split: SplitSurvey, source: SplitSurvey | None, threshold: float
) -> dict[str, tuple[str, float]]:
    """For each image of the split its nearest in the source, where near enough; without a source,
    among those before it in the split."""
    names, vectors = split.vectors
    twins, others = (names, None) if source is None else source.vectors
    if not len(vectors) or (others is not None and not len(others)):
        return {}
    score = np.zeros(len(names))
    nearest = np.zeros(len(names), dtype=np.int64)
    for block in near_duplicate_blocks(vectors, others, threshold):
        rows, columns = block.first, block.second
        if source is None:
            rows, columns = columns, rows
        order = np.lexsort((columns, -block.score, rows))
        found, place = np.unique(rows[order], return_index=True)
        better = block.score[order][place] > score[found]
        found, chosen = found[better], order[place[better]]
        score[found], nearest[found] = block.score[chosen], columns[chosen]
    return {names[i]: (twins[nearest[i]], float(score[i])) for i in np.flatnonzero(score)}


def _shown(survey: Survey, split: SplitSurvey, name: str) -> str:
    return survey.plan.shown(split.image_paths[name])
