"""From a matrix to runs: each with its resolved settings, its fingerprint and its folder.

A run's folder is named after its row, group, seed and the fingerprint of its training settings, an
evaluation's folder after its name and the fingerprint of all settings. So whatever lies in a folder
was made with these settings, and a changed matrix finds new folders for just what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mcltoolkit.ablation.matrix import SEED_KEYS, Matrix, Variant, select
from mcltoolkit.ablation.settings import (
    Settings,
    arguments_of,
    check_key,
    effective,
    fingerprint,
    look_up,
    same,
    training_part,
)
from mcltoolkit.engine.config import load_config
from mcltoolkit.errors import ConfigError


@dataclass(frozen=True)
class Evaluation:
    """One test of a trained model.

    Attributes:
        name: as in the matrix.
        options: dotted settings, on top of the run's.
        settings: all settings that a run reads.
        folder: of its metrics, report and pictures.
    """

    name: str
    options: Mapping[str, Any]
    settings: Settings
    folder: Path

    @property
    def metrics_file(self) -> Path:
        """Written when the test is done."""
        return self.folder / "metrics.json"


@dataclass(frozen=True)
class Run:
    """One training with its tests.

    Attributes:
        row, group, seed: its place in the matrix.
        config: the config file it starts from.
        options: dotted settings for that file, seeds included.
        places: `data_root` and `vgg_weights` where they were given, see `load_config`.
        settings: the resulting settings that a run reads.
        stem: name of its folder but for the fingerprint.
        folder: of everything it writes.
        evaluations: in the matrix's order.
    """

    row: str
    group: str
    seed: int
    config: Path
    options: Mapping[str, Any]
    places: Mapping[str, str]
    settings: Settings
    stem: str
    folder: Path
    evaluations: tuple[Evaluation, ...]

    @property
    def title(self) -> str:
        """Row, group and seed for people."""
        return ", ".join(part for part in (self.row, self.group, f"seed {self.seed}") if part)

    @property
    def train_dir(self) -> Path:
        """The training's work directory."""
        return self.folder / "train"

    @property
    def result_file(self) -> Path:
        """Written when everything is done."""
        return self.folder / "result.json"

    @property
    def log_file(self) -> Path:
        """What the run prints."""
        return self.folder / "log.txt"

    @cached_property
    def fingerprint(self) -> str:
        """Of the training's settings."""
        return fingerprint(training_part(self.settings))


def combinations(matrix: Matrix) -> list[tuple[Variant, Variant, int]]:
    """(row, group, seed) of every run; all rows with the first seed come first, so that an early
    look at the table compares all of them."""
    return [
        (row, group, seed)
        for seed in matrix.seeds
        for group in matrix.groups
        for row in matrix.rows
    ]


def plan(
    matrix: Matrix,
    work_dir: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    data_root: str | None = None,
    vgg_weights: str | None = None,
) -> list[Run]:
    """All runs of a matrix.

    Args:
        matrix: from `read_matrix`.
        work_dir: folder of the whole ablation; runs lie in its folder `runs`.
        options: further dotted settings for every run; they win over the matrix's `options` and
            lose against groups and rows.
        data_root, vgg_weights: see `load_config`.

    Raises:
        ConfigError: a setting that the config does not have, a change that changes nothing, two
            options for one setting, or two rows that are the same.
    """
    for key in options or {}:
        if key in SEED_KEYS:
            raise ConfigError(
                f"--cfg-options {key}: the matrix sets it for each run; change `seeds` in "
                f"{matrix.path}"
            )
    planner = _Planner(
        matrix,
        Path(work_dir) / "runs",
        {**matrix.options, **(options or {})},
        {
            name: value
            for name, value in {"data_root": data_root, "vgg_weights": vgg_weights}.items()
            if value is not None
        },
    )
    planner.check()
    return [planner.run(*place) for place in combinations(matrix)]


def chosen(
    runs: Iterable[Run],
    rows: Iterable[str] | None = None,
    groups: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
) -> list[Run]:
    """The runs of some rows, groups and seeds; None is all of them.

    Raises:
        ConfigError: a name or seed that the matrix does not have.
    """
    runs = list(runs)
    picked_rows = select(rows, dict.fromkeys(run.row for run in runs), "no row")
    picked_groups = select(groups, dict.fromkeys(run.group for run in runs), "no group")
    texts = None if seeds is None else map(str, seeds)
    picked_seeds = select(texts, dict.fromkeys(str(run.seed) for run in runs), "no seed")
    return [
        run
        for run in runs
        if run.row in picked_rows and run.group in picked_groups and str(run.seed) in picked_seeds
    ]


class _Planner:
    def __init__(
        self,
        matrix: Matrix,
        folder: Path,
        options: Mapping[str, Any],
        places: Mapping[str, str],
    ) -> None:
        self.matrix, self.folder, self.options, self.places = matrix, folder, options, places
        self.cache: dict[tuple[Path, str], Settings] = {}

    def settings(self, config: Path, options: Mapping[str, Any]) -> Settings:
        """Effective settings of a config with options; read once each."""
        key = (config, repr(options))
        if key not in self.cache:
            self._check_overlaps(options)
            loaded = load_config(config, dict(options), **self.places)
            self.cache[key] = effective(loaded)
        return self.cache[key]

    def _check_overlaps(self, options: Mapping[str, Any]) -> None:
        for key in options:
            inside = [other for other in options if other.startswith(f"{key}.")]
            if inside:
                raise ConfigError(
                    f"{self.matrix.path}: {key} and {inside[0]} meet in one run, and the first "
                    f"holds the second; give them in one piece, such as {key}: {{...}}"
                )

    def check(self) -> None:
        matrix = self.matrix
        bare = self.settings(matrix.base, {})
        self._check_options("options", [(bare, self.settings(matrix.base, self.options))],
                            self.options, needed=False)  # fmt: skip
        plain = self.settings(matrix.base, self.options)
        for group in matrix.groups:
            after = self.settings(matrix.base, {**self.options, **group.options})
            self._check_options(f"groups: {group.name}", [(plain, after)], group.options)
        for row in matrix.rows:
            pairs = []
            for group in matrix.groups:
                config = row.config or matrix.base
                options = {**self.options, **group.options}
                pairs.append((self.settings(config, options), self._of(row, group)))
            self._check_options(f"changes: {row.name}", pairs, row.options)
        self._check_twins()
        for evaluation in matrix.evaluations:
            pairs = []
            for row, group in self._cells():
                before = self._of(row, group)
                pairs.append((before, self._of(row, group, evaluation)))
            self._check_options(f"evaluations: {evaluation.name}", pairs, evaluation.options)
            for _, settings in pairs:
                self._check_held_out(f"evaluations: {evaluation.name}", settings)

    def run(self, row: Variant, group: Variant, seed: int) -> Run:
        config, options = self._options(row, group)
        settings = self._of(row, group)
        seeds = {key: seed for key in SEED_KEYS if _takes_seed(settings, key)}
        trained = _with(settings, seeds)
        stem = ".".join(part for part in (row.slug, group.slug, f"seed{seed}") if part)
        folder = self.folder / f"{stem}-{fingerprint(training_part(trained))}"
        evaluations = []
        for evaluation in self.matrix.evaluations:
            tested = _with(self._of(row, group, evaluation), seeds)
            place = folder / f"{evaluation.slug}-{fingerprint(tested)}"
            evaluations.append(Evaluation(evaluation.name, evaluation.options, tested, place))
        return Run(
            row=row.name,
            group=group.name,
            seed=seed,
            config=config,
            options={**options, **seeds},
            places=self.places,
            settings=trained,
            stem=stem,
            folder=folder,
            evaluations=tuple(evaluations),
        )

    def _options(self, row: Variant, group: Variant) -> tuple[Path, dict[str, Any]]:
        return row.config or self.matrix.base, {**self.options, **group.options, **row.options}

    def _of(self, row: Variant, group: Variant, evaluation: Variant | None = None) -> Settings:
        config, options = self._options(row, group)
        return self.settings(config, {**options, **(evaluation.options if evaluation else {})})

    def _cells(self) -> list[tuple[Variant, Variant]]:
        return [(row, group) for group in self.matrix.groups for row in self.matrix.rows]

    def _check_options(
        self,
        where: str,
        pairs: list[tuple[Settings, Settings]],
        options: Mapping[str, Any],
        needed: bool = True,
    ) -> None:
        where = f"{self.matrix.path}: {where}"
        for key, value in options.items():
            for before, after in pairs:
                check_key(key, value, before, after, where)
            if needed and all(same(look_up(b, key), look_up(a, key)) for b, a in pairs):
                raise ConfigError(
                    f"{where}: {key} is {look_up(pairs[0][0], key)!r} without this change too, so "
                    f"it changes nothing; leave it out"
                )

    def _check_held_out(self, where: str, settings: Settings) -> None:
        if look_up(settings, "test_dataloader.sampler.shuffle") is not False:
            raise ConfigError(
                f"{self.matrix.path}: {where}: test_dataloader.sampler.shuffle is not False, so "
                f"each seed would be tested on other samples; set it to false"
            )
        if not isinstance(settings.get("randomness"), dict):
            raise ConfigError(
                f"{self.matrix.path}: {where}: the config has no `randomness`, which the seed is "
                f"written to; add randomness=dict(seed=0)"
            )

    def _check_twins(self) -> None:
        """No two rows may be the same in all groups, and no two groups in all rows."""
        seen: dict[str, str] = {}
        for row in self.matrix.rows:
            mark = "".join(fingerprint(self._of(row, group)) for group in self.matrix.groups)
            self._twin(seen, mark, f"the rows {row.name!r}", row.name)
        seen = {}
        for group in self.matrix.groups:
            mark = "".join(fingerprint(self._of(row, group)) for row in self.matrix.rows)
            self._twin(seen, mark, f"the groups {group.name!r}", group.name)

    def _twin(self, seen: dict[str, str], mark: str, what: str, name: str) -> None:
        if mark in seen:
            raise ConfigError(
                f"{self.matrix.path}: {what} and {seen[mark]!r} have the same settings; change or "
                f"remove one"
            )
        seen[mark] = name


def _takes_seed(settings: Settings, key: str) -> bool:
    node = look_up(settings, key.rpartition(".")[0])
    taken = arguments_of(node)
    return not taken or "seed" in taken


def _with(settings: Settings, values: Mapping[str, Any]) -> Settings:
    changed = deepcopy(settings)
    for key, value in values.items():
        parent, _, name = key.rpartition(".")
        look_up(changed, parent)[name] = value
    return changed
