"""Translations for programs: conditions painted in the style of exemplars.

model = load_model("checkpoint.pth")
result = translate("condition.png", "exemplar.jpg", model)
result.image.save("output.png")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from mcltoolkit.errors import ConfigError
from mcltoolkit.inference.exemplars import Exemplar
from mcltoolkit.inference.inputs import Source, source_name
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.pipeline import Request, run
from mcltoolkit.inference.requests import check_regions, check_weights
from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.inference.sizes import check_size
from mcltoolkit.inference.steady import Steadier

Wanted: TypeAlias = Sequence[int] | str | None
Photo: TypeAlias = Source | Exemplar


def translate(
    condition: Source | Sequence[Source],
    exemplar: Photo | Sequence[Photo],
    model: TranslationModel,
    *,
    exemplar_condition: Source | Sequence[Source] | None = None,
    weights: Sequence[float] | None = None,
    regions: Mapping[Any, Photo] | None = None,
    size: Wanted = None,
    batch_size: int = 1,
    say: Callable[[str], object] | None = None,
) -> Any:
    """Paint `condition` in the style of `exemplar`.

    Lists make several translations: the k-th condition with the k-th exemplar, and a single one
    beside a list is used for all. With `weights`, the exemplars are blended instead: each is
    matched on its own, and the generator is given the weighted mean of what they give.

    Args:
        condition: label file, `.npy` file of C x H x W numbers, PIL image of labels, or an array of
            labels (H, W) or maps (C, H, W); or a list of such.
        exemplar: picture file, PIL image, or array (H, W, 3) uint8; or a list of such. It is
            resized to the size of the translation, as at test, whatever its shape.
        model: from `load_model`. What its networks make of an exemplar is kept (`model.exemplars`)
            and used again.
        exemplar_condition: as `condition`, one for each exemplar, or one alone where they are all
            the same; needed where the correspondence mixes it in
            (`model.needs_exemplar_condition`). `Exemplar(picture, condition)` may be given as an
            exemplar instead, here and in `regions`.
        weights: one for each exemplar; they are made to sum to 1.
        regions: exemplars for classes of their own, by class number or name, for label maps:
            pixels of such a class are painted after its exemplar, all others after `exemplar`.
        size: (height, width) to translate at, or `own` for the condition's own, however large;
            default see `choose_size`. Any size is padded to the networks' stride and cut back.
        batch_size: how many of a list go through the networks together, if they have one size.
            More is faster on a GPU, and may change the last bits of the numbers.
        say: called with one line that tells at which size the translation runs, and why.

    Returns:
        A `TranslationResult`, or a list of them where a list makes several. Each holds its match
        on the model's device; for thousands see `translate_each`.

    Raises:
        DataError: an input that the model cannot take.
        ConfigError: a setting or a size that does not fit, or a missing exemplar condition.
    """
    many = [condition] if weights is not None else [condition, exemplar]
    lists = [value for value in many if isinstance(value, list | tuple)]
    count = max((len(value) for value in lists), default=1)
    if lists and not min(len(value) for value in lists):
        raise ConfigError("a list of conditions or exemplars is empty; give at least one of each")
    conditions = _spread("condition", condition, count)
    if weights is not None:
        blend = _with_conditions(_listed(exemplar), exemplar_condition)
        groups = [blend] * count
        shares = check_weights(weights, len(blend))
    else:
        each = _with_conditions(_spread("exemplar", exemplar, count), exemplar_condition)
        groups, shares = [[one] for one in each], [1.0]
    of_classes = check_regions(regions, model)
    requests = [
        _request(one, zip(some, shares, strict=True), of_classes)
        for one, some in zip(conditions, groups, strict=True)
    ]
    results = list(run(requests, model, **_options(size, batch_size), say=say))
    return results if lists else results[0]


def translate_each(
    conditions: Iterable[Source],
    exemplar: Photo,
    model: TranslationModel,
    *,
    exemplar_condition: Source | None = None,
    size: Wanted = None,
    batch_size: int = 1,
    steadiness: float = 0.0,
) -> Iterator[TranslationResult]:
    """Translate any number of conditions, one after the other, in bounded memory.

    Args:
        conditions: as in `translate`; they are read as they are needed.
        exemplar, model, exemplar_condition, size, batch_size: see `translate`.
        steadiness: for conditions that are the frames of a video, in 0..1: how much the match is
            held where the condition rests, see `mcltoolkit.inference.steady`; 0 takes each alone.

    Raises:
        DataError, ConfigError: see `translate`.
    """
    one = Exemplar.of(exemplar, exemplar_condition)
    requests = (_request(condition, [(one, 1.0)]) for condition in conditions)
    return run(requests, model, **_options(size, batch_size), steadier=Steadier(steadiness))


def interpolate(
    condition: Source,
    first: Photo,
    second: Photo,
    model: TranslationModel,
    steps: int = 5,
    *,
    exemplar_conditions: tuple[Source, Source] | None = None,
    size: Wanted = None,
) -> list[TranslationResult]:
    """A sequence from the style of one exemplar to that of another.

    Args:
        condition, model, size: see `translate`.
        first, second: the exemplars; the first result is the translation by `first` alone, the
            last that by `second` alone, and between them the blend goes in equal steps.
        steps: number of results, at least 2.
        exemplar_conditions: of the two, where the model compares them.

    Raises:
        DataError, ConfigError: see `translate`; or fewer than 2 steps.
    """
    pair = _with_conditions([first, second], exemplar_conditions)
    requests = [
        _request(condition, zip(pair, shares, strict=True))
        for shares in interpolation_shares(steps)
    ]
    return list(run(requests, model, **_options(size, 1)))


def interpolation_shares(steps: int) -> list[tuple[float, float]]:
    """The shares of two exemplars at each step: (1, 0) to (0, 1).

    Raises:
        ConfigError: fewer than 2 steps.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ConfigError(f"steps is {steps!r}; allowed are whole numbers >= 2, both ends included")
    return [(1 - k / (steps - 1), k / (steps - 1)) for k in range(steps)]


def _request(
    condition: Source,
    shares: Iterable[tuple[Exemplar, float]],
    regions: Mapping[int, Exemplar] | None = None,
) -> Request:
    name = source_name(condition) or "condition"
    return Request(condition, tuple(shares), regions or {}, name)


def check_batch_size(batch_size: int) -> int:
    """The batch size itself.

    Raises:
        ConfigError: it is no whole number >= 1.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size!r}; allowed are whole numbers >= 1")
    return batch_size


def _options(size: Wanted, batch_size: int) -> dict[str, Any]:
    return {"size": check_size(size), "batch_size": check_batch_size(batch_size)}


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _listed(value: Any) -> list[Any]:
    return list(value) if _is_list(value) else [value]


def _spread(what: str, value: Any, count: int) -> list[Any]:
    """A list of `count`, of one or as many."""
    if not _is_list(value):
        return [value] * count
    if len(value) not in (1, count):
        raise ConfigError(
            f"{len(value)} {what}s for {count} translations; give one for all, or one for each"
        )
    return list(value) * (count // len(value))


def _same(one: Photo, other: Photo) -> bool:
    files = isinstance(one, str | Path) and isinstance(other, str | Path)
    return one is other or (files and Path(one) == Path(other))  # type: ignore[arg-type]


def _with_conditions(photos: Sequence[Photo], conditions: Any) -> list[Exemplar]:
    """Exemplars with their conditions; the same object where photo and condition are the same."""
    if conditions is None:
        conditions = [None] * len(photos)
    given = _listed(conditions)
    if len(given) == 1 and all(_same(photo, photos[0]) for photo in photos):
        given = given * len(photos)
    if len(given) != len(photos):
        raise ConfigError(
            f"{len(given)} exemplar conditions for {len(photos)} exemplars; give one for each"
        )
    made: dict[tuple[int, int], Exemplar] = {}
    for photo, condition in zip(photos, given, strict=True):
        made.setdefault((id(photo), id(condition)), Exemplar.of(photo, condition))
    return [made[id(p), id(c)] for p, c in zip(photos, given, strict=True)]
