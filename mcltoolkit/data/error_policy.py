"""What a training does about a sample that cannot be read: stop, or take another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcltoolkit.errors import ConfigError, near_matches

POLICIES = ("stop", "skip")
SETTINGS = ("policy", "max_skipped")


@dataclass(frozen=True)
class Incident:
    """A sample that could not be read and was replaced.

    Attributes:
        index: of the sample in its data set.
        sample: what it is called in messages, with its files where the data set tells them.
        reason: the error's message.
        substitute: index of the sample that took its place.
    """

    index: int
    sample: str
    reason: str
    substitute: int

    def __str__(self) -> str:
        return f"{self.sample} replaced by sample {self.substitute}, because: {self.reason}"


@dataclass(frozen=True)
class ErrorPolicy:
    """The setting `on_error` of a data loader.

    Args:
        policy: `stop` ends with the error; `skip` draws another sample in its place, logs and
            counts it.
        max_skipped: for `skip`: how many different samples may be unreadable before the run stops
            after all. A whole number, or a share of the data set in (0, 1).

    Raises:
        ConfigError: a setting is not allowed.
    """

    policy: str = "stop"
    max_skipped: int | float = 100

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(
                f"on_error.policy is {self.policy!r}; allowed are {', '.join(POLICIES)}"
                f"{near_matches(str(self.policy), POLICIES)}"
            )
        limit = self.max_skipped
        whole = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
        if not whole and not (isinstance(limit, float) and 0 < limit < 1):
            raise ConfigError(
                f"on_error.max_skipped is {limit!r}; allowed are a whole number >= 0 of samples, "
                f"or a share of the data set such as 0.01"
            )

    @classmethod
    def of(cls, given: ErrorPolicy | Mapping[str, Any] | str | None) -> ErrorPolicy:
        """The policy itself, or from its name or a dict of settings; None is `stop`.

        Raises:
            ConfigError: it is something else, or has an unknown setting.
        """
        if given is None:
            return cls()
        if isinstance(given, ErrorPolicy):
            return given
        if isinstance(given, str):
            return cls(policy=given)
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"on_error is {given!r}; allowed are 'stop', 'skip', or a dict such as "
                f"dict(policy='skip', max_skipped=100)"
            )
        unknown = sorted(str(key) for key in set(given) - set(SETTINGS))
        if unknown:
            raise ConfigError(
                f"on_error has {', '.join(unknown)}; allowed are the keys {' and '.join(SETTINGS)}"
                f"{near_matches(unknown[0], SETTINGS)}"
            )
        return cls(**given)

    @property
    def skips(self) -> bool:
        """Whether unreadable samples are replaced."""
        return self.policy == "skip"

    def limit(self, length: int) -> int:
        """How many samples of a data set of that length may be unreadable."""
        if isinstance(self.max_skipped, float):
            return int(self.max_skipped * length)
        return self.max_skipped
