"""What a call of `translate` asks for, checked and spread over its lists."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.inference.exemplars import Exemplar
from mcltoolkit.inference.inputs import Source
from mcltoolkit.inference.model import TranslationModel


def check_weights(weights: Sequence[float], count: int) -> list[float]:
    """One share for each exemplar, made to sum to 1.

    Raises:
        ConfigError: another number of weights, or weights that are no shares.
    """
    try:
        values = None if isinstance(weights, str) else [float(weight) for weight in weights]
    except (TypeError, ValueError, OverflowError):
        values = None
    if values is None:
        raise ConfigError(
            f"weights are {weights!r}; allowed is a list of numbers >= 0, such as [0.3, 0.7]"
        )
    if len(values) != count:
        raise ConfigError(
            f"weights are {values}, for {count} exemplar{'s' if count != 1 else ''}; give one "
            f"weight for each exemplar"
        )
    if not all(v >= 0 for v in values) or not 0 < sum(values) < math.inf:
        raise ConfigError(
            f"weights are {values}; allowed are numbers >= 0 with a finite sum, not all of them 0, "
            f"such as 0.3 0.7"
        )
    total = math.fsum(values)
    return [value / total for value in values]


def check_regions(
    regions: Mapping[Any, Exemplar | Source] | None, model: TranslationModel
) -> dict[int, Exemplar]:
    """Exemplars by class, from class numbers or names.

    Raises:
        ConfigError: the model has no classes, or a class is unknown or named twice.
    """
    if not regions:
        return {}
    if model.classes is None:
        raise ConfigError(
            f"exemplars are chosen for regions {list(regions)}, but this model's conditions are "
            f"{model.channels} maps without classes; leave regions (--region) out"
        )
    found: dict[int, Exemplar] = {}
    made: dict[int, Exemplar] = {}
    for label, exemplar in regions.items():
        number = class_number(label, model.classes)
        if number in found:
            raise ConfigError(
                f"class {number} ({model.classes[number]}) has two exemplars; give it one"
            )
        found[number] = made.setdefault(id(exemplar), Exemplar.of(exemplar))
    return found


def class_number(label: Any, classes: Sequence[str]) -> int:
    """The class that a name or a number means; a name goes before a number.

    Raises:
        ConfigError: there is no such class.
    """
    if str(label) in classes:
        return list(classes).index(str(label))
    try:
        number = int(label) if isinstance(label, str) else operator.index(label)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number < len(classes):
        raise ConfigError(
            f"region {label!r} is no class of this model{near_matches(str(label), classes)}; "
            f"allowed are 0..{len(classes) - 1} and the names {', '.join(classes)}"
        )
    return number
