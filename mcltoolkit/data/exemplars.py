"""Which exemplar a condition gets: exemplar lists and the policy of choosing from them.

The list format and the probabilities are those of CoCosNet's released recipe (Zhang et al.,
CVPR 2020), which MCL-Net follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcltoolkit.data.storage import read_text
from mcltoolkit.errors import ConfigError, DataError, near_matches

MODES = ("recipe", "first", "self")


@dataclass(frozen=True)
class ExemplarLine:
    """One condition's exemplars, best first; `number` is the line in the file, from 1."""

    number: int
    condition: str
    exemplars: tuple[str, ...]


def read_exemplar_list(path: str | Path, setting: str = "exemplar_list") -> dict[str, ExemplarLine]:
    """An exemplar list by condition, in the file's order.

    Each line reads `condition.jpg,exemplar1.jpg,...`. Backslashes become slashes, blank lines are
    skipped, and further lines of one condition add to its exemplars.

    Args:
        path: the file.
        setting: what names the file in a config, for messages.

    Raises:
        DataError: the file is missing, not text or empty, or a line has no exemplar.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise DataError(
            f"exemplar list {path} does not exist; set {setting} (relative to data_root) to a "
            f"text file with lines 'condition.jpg,exemplar.jpg', or to None for self-exemplars"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"exemplar list {path} cannot be read as UTF-8 text ({error}); save it anew"
        ) from error
    lines: dict[str, ExemplarLine] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        condition, *names = (part.strip() for part in line.replace("\\", "/").split(","))
        exemplars = tuple(name for name in names if name)
        if not condition and not exemplars:
            continue
        if not condition or not exemplars:
            raise DataError(
                f"exemplar list {path}, line {number}: {line.strip()!r} found, needed are a "
                f"condition and at least one exemplar, 'condition.jpg,exemplar.jpg'; complete or "
                f"delete the line"
            )
        if condition in lines:
            first = lines[condition]
            number, exemplars = first.number, first.exemplars + exemplars
        lines[condition] = ExemplarLine(number, condition, exemplars)
    if not lines:
        raise DataError(
            f"exemplar list {path} is empty: 0 lines found, needed is one for each condition, "
            f"'condition.jpg,exemplar.jpg'; write it, or set {setting}=None"
        )
    return lines


@dataclass(frozen=True)
class ExemplarChoice:
    """The policy of choosing an exemplar.

    Args:
        mode: `recipe` draws as in training: a retrieved exemplar or the truth itself;
            `first` takes the first of the list (test); `self` always takes the truth itself.
        retrieved: probability of a retrieved exemplar, for `recipe`.
        hard: probability that a retrieved one is the last of its list instead of the first. The
            released code draws one number for both choices, so that its 0.2 is a share of all
            samples: 2/7 here.

    Raises:
        ConfigError: an unknown mode, or a probability outside [0, 1].
    """

    mode: str = "recipe"
    retrieved: float = 0.7
    hard: float = 0.2

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(
                f"exemplar_choice.mode is {self.mode!r}; allowed are {', '.join(MODES)}"
                f"{near_matches(self.mode, MODES)}"
            )
        for name in ("retrieved", "hard"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"exemplar_choice.{name} is {value}; allowed are values 0..1")

    @classmethod
    def of(cls, given: ExemplarChoice | Mapping[str, Any] | str) -> ExemplarChoice:
        """The policy itself, or from a mode's name or a dict of arguments.

        Raises:
            ConfigError: an unknown argument or mode.
        """
        if isinstance(given, ExemplarChoice):
            return given
        if isinstance(given, str):
            return cls(mode=given)
        unknown = set(given) - {"mode", "retrieved", "hard"}
        if unknown:
            raise ConfigError(
                f"exemplar_choice has {', '.join(sorted(unknown))}; allowed are the keys mode, "
                f"retrieved and hard"
            )
        return cls(**given)

    def pick(self, count: int, rng: np.random.Generator) -> int | None:
        """Place in a list of `count` retrieved exemplars, or None for the truth itself.

        Raises:
            ConfigError: mode `first` with an empty list.
        """
        if self.mode == "first":
            if count == 0:
                raise ConfigError(
                    "exemplar_choice.mode is 'first', but there is no exemplar to take; set "
                    "exemplar_list, or mode 'self'"
                )
            return 0
        if self.mode == "self" or count == 0:
            return None
        retrieved, hard = rng.random(2)
        if retrieved >= self.retrieved:
            return None
        return count - 1 if hard < self.hard else 0
