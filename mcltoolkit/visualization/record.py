"""What a test leaves for comparisons: the shown samples as pictures, with values, curves, config.

A record is a folder: `samples.json`, one PNG a picture, `curves.json` and `config.json`. Nothing in
it is run when it is read, and nothing outside it is needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.files import write_json
from mcltoolkit.visualization.colours import Palette
from mcltoolkit.visualization.extremes import Shown
from mcltoolkit.visualization.images import GRID_COLUMNS, prediction_pictures, save_png
from mcltoolkit.visualization.scalars import Series

FORMAT = 1
NAME = "record"
MAX_POINTS = 2000
AGAIN = "test the checkpoint again with tools/test.py"


@dataclass(frozen=True)
class RecordedSample:
    """A sample on disk.

    Attributes:
        name, exemplar: of the condition and of the exemplar.
        paired: the truth is the right answer.
        values: metric values.
        pictures: files by what they show (`condition`, `exemplar`, `warped`, `output`, `truth`).
        index: its place in the data set; None where that is not known.
    """

    name: str
    exemplar: str
    paired: bool
    values: Mapping[str, float]
    pictures: Mapping[str, Path]
    index: int | None = None


@dataclass(frozen=True)
class Record:
    """A test on disk: its samples, training curves by name, and config."""

    samples: list[RecordedSample]
    curves: dict[str, Series]
    config: dict[str, Any]


def write_record(
    folder: str | os.PathLike[str],
    shown: Sequence[Shown],
    palette: Palette | None = None,
    shown_channels: Sequence[int] | None = None,
    curves: Mapping[str, Series] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a record; an earlier one in the folder is removed first, so that one that is not
    written to its end cannot be read.

    Args:
        curves: training curves; of a long one every so many points are kept, at most `MAX_POINTS`.
        config: the whole config, training included.

    Raises:
        ConfigError: the folder cannot be written.
    """
    folder = Path(folder)
    forget_record(folder)
    samples = []
    for number, sample in enumerate(shown):
        prediction = sample.prediction
        pictures = prediction_pictures(prediction, palette, shown_channels)
        files = {}
        for column, picture in zip(GRID_COLUMNS, pictures, strict=True):
            if picture is not None:
                files[column] = f"{number:03d}_{column}.png"
                save_png(picture, folder / files[column])
        samples.append(
            {
                "name": prediction.name,
                "index": sample.index,
                "exemplar": prediction.exemplar_name,
                "paired": prediction.paired,
                "groups": list(sample.groups),
                "values": dict(sample.values),
                "pictures": files,
            }
        )
    write_json(folder / "curves.json", {n: _thinned(s) for n, s in (curves or {}).items()})
    write_json(folder / "config.json", _plain(dict(config or {})))
    write_json(folder / "samples.json", {"format": FORMAT, "samples": samples})
    return folder


def forget_record(folder: str | os.PathLike[str]) -> None:
    """Remove a record, first what makes it readable.

    Raises:
        ConfigError: a file cannot be removed.
    """
    folder = Path(folder)
    for old in (folder / "samples.json", *folder.glob("[0-9]*_*.png")):
        try:
            old.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot remove {old} of an earlier test: {error.strerror or error}; free the "
                f"place or choose another output folder"
            ) from error


def read_record(folder: str | os.PathLike[str]) -> Record:
    """A record that `write_record` wrote.

    Raises:
        DataError: a file is missing or holds something else.
    """
    folder = Path(folder)
    content = _read(folder / "samples.json")
    if content.get("format") != FORMAT:
        raise DataError(
            f"{folder / 'samples.json'} has the format {content.get('format')!r}; allowed is "
            f"{FORMAT}; {AGAIN}"
        )
    try:
        samples = [
            RecordedSample(
                name=str(entry["name"]),
                exemplar=str(entry["exemplar"]),
                paired=bool(entry["paired"]),
                values={str(k): float(v) for k, v in entry["values"].items()},
                # a file's name alone: a record shows nothing from outside its folder
                pictures={k: folder / Path(v).name for k, v in entry["pictures"].items()},
                index=None if entry.get("index") is None else int(entry["index"]),
            )
            for entry in content["samples"]
        ]
        curves = {
            name: Series(list(map(float, entry["steps"])), list(map(float, entry["values"])))
            for name, entry in _read(folder / "curves.json").items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the record {folder} is not as it was written ({type(error).__name__}: {error}); "
            f"{AGAIN}"
        ) from error
    return Record(samples, curves, _read(folder / "config.json"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; {AGAIN}") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds a {type(content).__name__}, not an object; {AGAIN}")
    return content


def _thinned(series: Series) -> dict[str, list[float]]:
    every = -(-len(series.steps) // MAX_POINTS) or 1
    at = sorted({*range(0, len(series.steps), every), *range(len(series.steps))[-1:]})
    return {"steps": [series.steps[i] for i in at], "values": [series.values[i] for i in at]}


def _plain(value: Any) -> Any:
    """As JSON can hold it; what is no plain value becomes its text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
