"""Exemplar lists from two galleries: describe, compare, exclude, pick; and how they are written.

"How were the exemplar lists made?" is the question most asked about CoCosNet. Here each list comes
with a scores file whose heading says it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcltoolkit.data.near_duplicates import THRESHOLD
from mcltoolkit.data.records import few
from mcltoolkit.data.retrieval.describe import THUMBNAILS, check_labels, describe
from mcltoolkit.data.retrieval.features import Features
from mcltoolkit.data.retrieval.gallery import Gallery
from mcltoolkit.data.retrieval.groups import Group, check_frames, number_groups
from mcltoolkit.data.retrieval.ranking import DECIMALS, NONE, Ranking, rank
from mcltoolkit.data.retrieval.rules import Facts, Rules, check_ranges
from mcltoolkit.errors import ConfigError, DataError

Groups = tuple[Sequence[Group], Sequence[Group]]


@dataclass(frozen=True)
class Exclusion:
    """Which pictures are kept apart, besides a picture from itself.

    Args:
        duplicates: cosine of thumbnails from which two pictures are near-duplicates; None leaves
            the pictures uncompared.
        groups: of conditions and candidates; None where there are none.
        gap, spread: see `Rules`.
    """

    duplicates: float | None = THRESHOLD
    groups: Groups | None = None
    gap: int | None = None
    spread: bool = False


@dataclass(frozen=True)
class Retrieval:
    """An exemplar list in the making: who gets whom, with which score, by which settings."""

    queries: Gallery
    candidates: Gallery
    ranking: Ranking
    settings: Mapping[str, str]

    def exemplars(self, query: int) -> list[tuple[int, float]]:
        """Candidates of a query, best first, with their scores."""
        row, scores = self.ranking.candidates[query], self.ranking.scores[query]
        return [(int(c), float(s)) for c, s in zip(row, scores, strict=True) if c != NONE]


def retrieve(
    queries: Gallery,
    candidates: Gallery,
    features: Features,
    top: int = 5,
    exclusion: Exclusion | None = None,
    min_score: float | None = None,
    allow_fewer: bool = False,
    workers: int = 4,
    batch: int = 32,
    cache: str | Path | None = None,
) -> Retrieval:
    """The best `top` exemplars of each query among the candidates.

    Args:
        queries, candidates: may be the same.
        features: what "best" means.
        exclusion: what is kept apart; None takes the defaults.
        min_score: candidates that score less are left out.
        allow_fewer: take what there is where fewer than `top` are left.
        workers, batch, cache: see `describe`.

    Raises:
        DataError: a file is broken, or too few candidates are left for some queries.
        ConfigError: a setting is not allowed.
    """
    rule = exclusion or Exclusion()
    # Reading may take hours: what can be told beforehand is told beforehand.
    check_ranges(THRESHOLD if rule.duplicates is None else rule.duplicates, rule.gap)
    if top < 1:
        raise ConfigError(f"--top is {top}; allowed are values >= 1")
    for gallery in (queries, candidates):
        check_labels(gallery, features)
    if rule.gap is not None and rule.groups is not None:
        for gallery, groups in zip((queries, candidates), rule.groups, strict=True):
            check_frames(dict(zip(gallery.names, groups, strict=True)))
    thumbnails = rule.duplicates is not None
    galleries = [queries] if queries == candidates else [queries, candidates]
    titles = ("conditions", "candidates") if len(galleries) == 2 else ("pictures",)
    arrays = [
        describe(gallery, features, thumbnails, workers, batch, cache, f"reading {title}")
        for gallery, title in zip(galleries, titles, strict=True)
    ]
    ranking = rank(
        features.similarity(arrays[0], arrays[-1]),
        _rules(queries, candidates, arrays[0], arrays[-1], rule),
        top,
        min_score,
    )
    settings = {
        **features.facts,
        "top": str(top),
        "near-duplicates": "not excluded" if rule.duplicates is None else str(rule.duplicates),
        "groups": _group_words(rule),
        "least score": "none" if min_score is None else str(min_score),
        "conditions": str(len(queries)),
        "candidates": str(len(candidates)),
    }
    result = Retrieval(queries, candidates, ranking, settings)
    if not allow_fewer:
        _check_counts(result, top)
    return result


def list_text(result: Retrieval) -> str:
    """The exemplar list: `condition.jpg,exemplar1.jpg,...`; conditions without any are left out.

    Raises:
        DataError: no condition has an exemplar.
    """
    names = result.candidates.names
    lines = [
        ",".join([query, *(names[c] for c, _ in result.exemplars(number))])
        for number, query in enumerate(result.queries.names)
        if result.ranking.counts[number]
    ]
    if not lines:
        raise DataError(
            f"no condition in {result.queries.folder} has an exemplar left; loosen --min-score, "
            f"--duplicates or the groups, or add candidates"
        )
    return "\n".join(lines) + "\n"


def scores_text(result: Retrieval) -> str:
    """CSV `query,rank,exemplar,score` below a heading that says how the list was made.

    Lines of the heading begin with `#`; ranks count from 1.
    """
    text = io.StringIO()
    for name, value in result.settings.items():
        text.write(f"# {name}: {value}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "rank", "exemplar", "score"])
    for number, query in enumerate(result.queries.names):
        for place, (candidate, score) in enumerate(result.exemplars(number), start=1):
            name = result.candidates.names[candidate]
            writer.writerow([query, place, name, f"{score:.{DECIMALS}f}"])
    return text.getvalue()


def _rules(
    queries: Gallery,
    candidates: Gallery,
    query_arrays: Mapping[str, np.ndarray],
    candidate_arrays: Mapping[str, np.ndarray],
    rule: Exclusion,
) -> Rules:
    numbers: dict[Path, int] = {}
    files = [
        [numbers.setdefault(path.resolve(), len(numbers)) for path in gallery.images]
        for gallery in (queries, candidates)
    ]
    none: tuple[None, None] = (None, None)
    groups = [none, none] if rule.groups is None else number_groups(*rule.groups)
    query_facts, candidate_facts = (
        Facts.of(own, group, frames, arrays.get(THUMBNAILS))
        for own, (group, frames), arrays in zip(
            files, groups, (query_arrays, candidate_arrays), strict=True
        )
    )
    threshold = THRESHOLD if rule.duplicates is None else rule.duplicates
    return Rules(query_facts, candidate_facts, threshold, rule.gap, rule.spread)


def _group_words(rule: Exclusion) -> str:
    if rule.groups is None:
        return "none"
    count = len({group.name for groups in rule.groups for group in groups})
    near = "" if rule.gap is None else f", frames within {rule.gap}"
    return f"{count} groups kept apart{near}{', exemplars too' if rule.spread else ''}"


def _check_counts(result: Retrieval, top: int) -> None:
    counts = result.ranking.counts
    short = [
        f"{name} ({count})"
        for name, count in zip(result.queries.names, counts, strict=True)
        if count < top
    ]
    if short:
        raise DataError(
            f"{len(short)} of {len(counts)} conditions in {result.queries.folder} have fewer than "
            f"{top} exemplars left: {few(short)}; lower --top, loosen --min-score, --duplicates or "
            f"the groups, add candidates, or write what there is with --allow-fewer"
        )
