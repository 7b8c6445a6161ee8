"""Label maps drawn in colours, and the palette file that says which colour is which class.

    classes:
      - {id: 0, name: sky, colour: [70, 130, 180]}
      - {id: 1, name: road, colour: [[128, 64, 128], [140, 70, 140]]}     # several colours
      - {id: 2, name: unknown, colour: [0, 0, 0], ignore: true}           # at most one

Ids are 0..K-1, each once; a colour belongs to one class. Nothing is guessed: a colour that the file
does not name is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mcltoolkit.errors import ConfigError

_KEYS = ("id", "name", "colour", "ignore")


@dataclass(frozen=True)
class LabelColours:
    """What a palette file says.

    Args:
        names: K class names by id.
        packed: (P,) the colours, packed and ascending.
        ids: (P,) the class of each.
        ignore_label: the class that means "unknown", if one does.
    """

    names: tuple[str, ...]
    packed: np.ndarray
    ids: np.ndarray
    ignore_label: int | None

    def lookup(self, packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of packed colours, and whether each is known (0 where it is not)."""
        place = np.searchsorted(self.packed, packed).clip(max=len(self.packed) - 1)
        known = self.packed[place] == packed
        return np.where(known, self.ids[place], 0), known

    def display(self) -> list[tuple[int, int, int]]:
        """A colour for each class, the first in order of its packed value."""
        first = [int(self.packed[self.ids == k][0]) for k in range(len(self.names))]
        return [unpack_colour(value) for value in first]


def pack_colours(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 -> (...) int32: R·65536 + G·256 + B."""
    wide = rgb.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def unpack_colour(value: int) -> tuple[int, int, int]:
    """One packed colour as (R, G, B)."""
    return value >> 16, value >> 8 & 255, value & 255


def read_label_colours(path: str | Path) -> LabelColours:
    """Read a palette file.

    Raises:
        ConfigError: it is missing, no YAML, or an entry is incomplete, out of range or doubled.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"palette file {path} does not exist; correct --palette") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"palette file {path} cannot be read: {error}; correct it") from error
    entries = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(
            f"palette file {path}: no list under 'classes' found; write one line a class, "
            f"'- {{id: 0, name: sky, colour: [70, 130, 180]}}'"
        )
    names: dict[int, str] = {}
    owner: dict[int, int] = {}
    ignored: list[int] = []
    for number, entry in enumerate(entries, start=1):
        where = f"palette file {path}, class {number}"
        number_id, name, colours, ignore = _entry(where, entry)
        if number_id in names:
            raise ConfigError(
                f"{where}: id {number_id} is taken by {names[number_id]!r}; give each class an id "
                f"of its own, and several colours to one class as a list"
            )
        names[number_id] = name
        ignored += [number_id] if ignore else []
        for colour in colours:
            if colour in owner:
                raise ConfigError(
                    f"{where}: colour {list(unpack_colour(colour))} belongs to "
                    f"{names[owner[colour]]!r} already; a colour has one class"
                )
            owner[colour] = number_id
    missing = sorted(set(range(len(names))) - set(names))
    if missing:
        raise ConfigError(
            f"palette file {path}: ids {sorted(names)} found, allowed are 0..{len(names) - 1}, "
            f"each once; missing: {missing}"
        )
    if len(ignored) > 1:
        raise ConfigError(
            f"palette file {path}: classes {sorted(ignored)} have 'ignore'; allowed is one"
        )
    packed = np.array(sorted(owner), dtype=np.int64)
    return LabelColours(
        names=tuple(names[k] for k in range(len(names))),
        packed=packed,
        ids=np.array([owner[int(value)] for value in packed], dtype=np.int64),
        ignore_label=ignored[0] if ignored else None,
    )


def starting_palette(found: Sequence[tuple[int, float, int]], most: int = 200) -> str:
    """A palette file to be completed.

    Args:
        found: packed colours with their share of pixels (0..1) and the number of files, in order.
        most: colours listed; more are no palette, but the work of a lossy format.

    Raises:
        ConfigError: there are no colours.
    """
    if not found:
        raise ConfigError("no label map is in colours: there is no palette to write")
    lines = [
        "# Colours found in the label maps, most frequent first. Set each id (0..K-1) and name;",
        "# put several colours of one class on one line: colour: [[R, G, B], [R, G, B]]; add",
        "# 'ignore: true' to the class that means unknown, if there is one.",
        "classes:",
    ]
    for value, share, files in found[:most]:
        colour = list(unpack_colour(value))
        lines.append(
            f"  - {{id: FILL_IN, name: FILL_IN, colour: {colour}}}"
            f"  # {share:.3%} of pixels, {files} file{'s' if files != 1 else ''}"
        )
    if len(found) > most:
        lines.append(f"  # ... and {len(found) - most} colours more, too many for a palette")
    return "\n".join(lines) + "\n"


def _entry(where: str, entry: Any) -> tuple[int, str, list[int], bool]:
    if not isinstance(entry, dict) or not {"id", "name", "colour"} <= set(entry):
        raise ConfigError(f"{where}: {entry!r} found, needed are the keys id, name and colour")
    unknown = sorted(str(key) for key in set(entry) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(_KEYS)}")
    number, ignore = entry["id"], entry.get("ignore", False)
    if not _is_int(number) or number < 0:
        raise ConfigError(f"{where}: id is {number!r}; allowed are whole numbers 0..K-1")
    if not isinstance(ignore, bool):
        raise ConfigError(f"{where}: ignore is {ignore!r}; allowed are true and false")
    colours = entry["colour"]
    if isinstance(colours, list) and colours and not isinstance(colours[0], list):
        colours = [colours]
    if not isinstance(colours, list) or not colours or not all(_is_colour(c) for c in colours):
        raise ConfigError(
            f"{where}: colour is {entry['colour']!r}; allowed is [R, G, B] with values 0..255, or "
            f"a list of such"
        )
    return number, str(entry["name"]), [(r << 16) | (g << 8) | b for r, g, b in colours], ignore


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_colour(value: Any) -> bool:
    whole = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
    return whole and all(_is_int(part) and 0 <= part <= 255 for part in value)
