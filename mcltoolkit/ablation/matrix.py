"""An ablation matrix: base config x groups x changes x seeds, read from one YAML file.

    base: ../mclnet_scenes.py        # relative to the file
    seeds: [0, 1, 2]
    options: {train_cfg.max_iters: 300}
    groups: {labels: {}, no labels: {model.correspondence.mask_mix: false}}
    changes: {full: {}, w/o mcl: {model.losses.mcl: null}, other: {config: other.py}}
    evaluations: {scenes: {}}
    metrics: [{name: scenes/psnr, label: PSNR (dB), better: higher, decimals: 2}]
    reference: full
    published: supplement_table1

Only the file itself is looked at here; whether the configs have these settings is `plan`'s matter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcltoolkit.ablation.published import PublishedTable, published_table
from mcltoolkit.ablation.yaml_file import read_yaml
from mcltoolkit.engine.config_files import PREFIX, config_path
from mcltoolkit.errors import ConfigError, near_matches

KEYS = ("base", "seeds", "options", "groups", "changes", "evaluations", "metrics", "published",
        "reference")  # fmt: skip
REQUIRED = ("base", "changes", "metrics")
METRIC_KEYS = ("name", "label", "better", "decimals", "published")
DIRECTIONS = ("higher", "lower")
SEED_KEYS = ("randomness.seed", "train_dataloader.dataset.seed")
"""What the matrix's seed sets: the model's randomness and order of the data, and the data's own."""


@dataclass(frozen=True)
class Variant:
    """A named set of dotted settings: a row, a group or an evaluation; a row may name a whole
    config instead of the base."""

    name: str
    options: Mapping[str, Any]
    config: Path | None = None

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return slug(self.name)


@dataclass(frozen=True)
class Column:
    """A metric of the table.

    Attributes:
        evaluation, metric: which evaluation, and the key it gives.
        label: heading.
        better: `higher` or `lower`.
        decimals: printed.
        published: the published table's column to stand beside it, if any.
    """

    evaluation: str
    metric: str
    label: str
    better: str
    decimals: int = 3
    published: str | None = None

    @property
    def name(self) -> str:
        """`EVALUATION/METRIC`."""
        return f"{self.evaluation}/{self.metric}"


@dataclass(frozen=True)
class Matrix:
    """What a matrix file says; `groups` has one unnamed group where the file has none."""

    path: Path
    base: Path
    seeds: tuple[int, ...]
    options: Mapping[str, Any]
    groups: tuple[Variant, ...]
    rows: tuple[Variant, ...]
    evaluations: tuple[Variant, ...]
    columns: tuple[Column, ...]
    reference: str
    published: PublishedTable | None

    def row(self, name: str) -> Variant:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)


def slug(name: str) -> str:
    """Letters, digits and hyphens only: `w/o mcl` becomes `without-mcl`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("w/o ", "without ")).strip("-")


def read_matrix(path: str | Path) -> Matrix:
    """Read a matrix file.

    Raises:
        ConfigError: an unknown or missing key, a name given twice, or a value that is not allowed.
    """
    path = Path(path)
    content = read_yaml(path)
    _known(content, KEYS, str(path))
    for key in REQUIRED:
        if not content.get(key):
            raise ConfigError(f"{path} has no `{key}`; needed are {', '.join(REQUIRED)}")
    rows = _variants(path, content, "changes")
    evaluations = _variants(path, content, "evaluations") or (Variant("test", {}),)
    reference = content.get("reference", rows[0].name)
    if reference not in [row.name for row in rows]:
        raise ConfigError(
            f"{path}: reference is {reference!r}, which is no row of `changes`"
            f"{near_matches(str(reference), [row.name for row in rows])}"
        )
    try:
        published = published_table(content["published"]) if content.get("published") else None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return Matrix(
        path=path,
        base=_file(path, "base", content["base"]),
        seeds=_seeds(path, content.get("seeds", [0])),
        options=_options(path, "options", content.get("options")),
        groups=_variants(path, content, "groups") or (Variant("", {}),),
        rows=rows,
        evaluations=evaluations,
        columns=_columns(path, content["metrics"], [e.name for e in evaluations], published),
        reference=reference,
        published=published,
    )


def select(names: Iterable[str] | None, known: Iterable[str], what: str) -> list[str]:
    """Those of `known` that are asked for, in their own order; all of them for None.

    Raises:
        ConfigError: a name that is not known.
    """
    known = list(known)
    wanted = known if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"{what} {name!r}{near_matches(name, known)}: the matrix has "
                f"{', '.join(map(repr, known))}"
            )
    return [name for name in known if name in wanted]


def _known(given: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(
                f"{where}: unknown key {key!r}{near_matches(str(key), known)}; known are "
                f"{', '.join(known)}"
            )


def _variants(path: Path, content: Mapping[str, Any], key: str) -> tuple[Variant, ...]:
    given = content.get(key) or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: `{key}` is {given!r}; it must be a mapping of name: changes")
    variants: dict[str, Variant] = {}
    for name, changes in given.items():
        where = f"{key}: {name}"
        if not isinstance(name, str):
            raise ConfigError(
                f"{path}: {where}: YAML reads this name as {name!r}, not as text; put it in quotes"
            )
        options = _options(path, where, changes)
        config = options.pop("config", None) if key == "changes" else None
        variant = Variant(name, options, _file(path, where, config) if config else None)
        if not variant.slug:
            raise ConfigError(f"{path}: {where}: the name needs a letter or a digit")
        if key == "evaluations" and "/" in name:
            raise ConfigError(
                f"{path}: {where}: the name must not contain '/', which parts evaluation and "
                f"metric in `metrics`"
            )
        if variant.slug in variants:
            raise ConfigError(
                f"{path}: {where}: as a file name this is {variant.slug!r}, like "
                f"{variants[variant.slug].name!r}; rename one of them"
            )
        variants[variant.slug] = variant
    return tuple(variants.values())


def _options(path: Path, where: str, given: Any) -> dict[str, Any]:
    given = {} if given is None else given
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise ConfigError(
            f"{path}: {where} is {given!r}; it must be a mapping of dotted settings, such as "
            f"{{model.losses.mcl.margin: 0}}, or {{}} for no change"
        )
    for key in given:
        if key in SEED_KEYS:
            raise ConfigError(
                f"{path}: {where} sets {key}, which follows `seeds`; list the seeds there"
            )
    return dict(given)


def _file(path: Path, where: str, name: Any) -> Path:
    if not isinstance(name, str):
        raise ConfigError(f"{path}: {where} is {name!r}; it must be a config's path")
    if name.startswith(PREFIX):
        return config_path(name)
    return Path(os.path.normpath(path.parent / name))


def _seeds(path: Path, given: Any) -> tuple[int, ...]:
    fine = isinstance(given, list) and given
    if not fine or not all(type(seed) is int and seed >= 0 for seed in given):
        raise ConfigError(f"{path}: seeds is {given!r}; it must be a list of integers >= 0")
    if len(set(given)) < len(given):
        raise ConfigError(f"{path}: seeds {given} has a seed twice; list each once")
    return tuple(given)


def _columns(
    path: Path, given: Any, evaluations: list[str], published: PublishedTable | None
) -> tuple[Column, ...]:
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise ConfigError(
            f"{path}: metrics must be a list of {{name: EVALUATION/METRIC, better: higher}}"
        )
    columns = [_column(path, entry, evaluations, published) for entry in given]
    for what in ("name", "label"):
        values = [getattr(column, what) for column in columns]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ConfigError(f"{path}: metrics: the {what} {twice[0]!r} is given twice")
    return tuple(columns)


def _column(
    path: Path, entry: dict[str, Any], evaluations: list[str], published: PublishedTable | None
) -> Column:
    name = str(entry.get("name", ""))
    where = f"{path}: metrics: {name or entry}"
    _known(entry, METRIC_KEYS, where)
    evaluation, _, metric = name.partition("/")
    if not metric:
        raise ConfigError(
            f"{where}: name must be EVALUATION/METRIC; evaluations are {', '.join(evaluations)}"
        )
    if evaluation not in evaluations:
        raise ConfigError(
            f"{where}: no evaluation {evaluation!r}{near_matches(evaluation, evaluations)}; "
            f"`evaluations` has {', '.join(evaluations)}"
        )
    if entry.get("better") not in DIRECTIONS:
        raise ConfigError(
            f"{where}: better is {entry.get('better')!r}; allowed are {', '.join(DIRECTIONS)}"
        )
    decimals = entry.get("decimals", 3)
    if type(decimals) is not int or not 0 <= decimals <= 10:
        raise ConfigError(f"{where}: decimals is {decimals!r}; allowed are integers 0..10")
    known = published.columns if published else {}
    beside = entry.get("published", metric if metric in known else None)
    if beside is not None and beside not in known:
        raise ConfigError(
            f"{where}: published is {beside!r}{near_matches(str(beside), known)}; "
            + (f"its columns are {', '.join(known)}" if known else "set `published` at the top")
        )
    label = str(entry.get("label") or metric.replace("_", " "))
    return Column(evaluation, metric, label, entry["better"], decimals, beside)
