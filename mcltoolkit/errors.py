"""Errors that a user can cause, each with what was found, what is allowed and the next step."""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Iterable

LONGEST = 1000


class ToolkitError(Exception):
    """Base of every error that a user's input, config or plugin can cause.

    The command-line tools print the message without a traceback and end with status 2.
    """


class ConfigError(ToolkitError, ValueError):
    """A setting of a config or of the command line cannot be used."""


class DataError(ToolkitError, ValueError):
    """A file or folder of a data set cannot be used."""


class WeightsError(ToolkitError, RuntimeError):
    """Weights or a checkpoint are missing, broken or do not fit the model."""


class OtherRankError(ToolkitError, RuntimeError):
    """Another rank met the error; its message says what it is."""


class PluginError(ToolkitError, RuntimeError):
    """A plugin cannot be used."""


class LossWiringError(ToolkitError, RuntimeError):
    """A configured loss sends no gradient to the network."""


class NonFiniteError(ToolkitError, ArithmeticError):
    """A loss or a gradient of a training is infinite or not a number."""


class UnknownComponentError(ConfigError, KeyError):
    """A config names a component that no plugin registered."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0]) if self.args else ""


def described(error: BaseException) -> str:
    """An error of foreign code in one line: its type, its message, and where it arose."""
    text = f"{type(error).__name__}: {str(error).strip()[:LONGEST]}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or frames[-1].filename.endswith("build_functions.py"):
        return text  # mmengine called with wrong arguments: the place tells nothing
    last = frames[-1]
    return f"{text} ({os.path.basename(last.filename)}, line {last.lineno}, in {last.name})"


def near_matches(word: str, known: Iterable[str]) -> str:
    """Ready-made hint `; did you mean 'A' or 'B'?`, or an empty string when nothing is near."""
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=3, cutoff=0.5)
    if not found:
        return ""
    return "; did you mean " + " or ".join(repr(lowered[name]) for name in found) + "?"
