"""A report: one HTML file that needs nothing else, neither network nor folder beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from mcltoolkit.errors import DataError
from mcltoolkit.files import write_atomically
from mcltoolkit.visualization._style import CSS
from mcltoolkit.visualization.colours import Palette, as_palette
from mcltoolkit.visualization.embedding import Image, figure, script_hash
from mcltoolkit.visualization.glossary import meaning, write_number


class Bar(NamedTuple):
    """One bar: its name, its length in [0, 1], its colour and a note after it."""

    name: str
    share: float
    colour: tuple[int, int, int]
    note: str = ""


class Report:
    """Builds a report from top to bottom; every text is escaped, every image embedded.

    Pictures are uint8 arrays (H, W, 3 or 4), or the content of a PNG or SVG file.

    Args:
        title: heading and window title.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []
        self._scripts: list[str] = []

    def add_lead(self, text: str) -> None:
        """A paragraph outside any section, such as what the page is about."""
        self._parts.append(f'<p class="lead">{escape(text)}</p>')

    def add_text(self, text: str, title: str = "") -> None:
        """A section of plain text; an empty line begins a paragraph."""
        paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
        self._section(title, "".join(f"<p>{escape(part)}</p>" for part in paragraphs))

    def add_tiles(self, tiles: Sequence[tuple[str, str, str]]) -> None:
        """Large numbers side by side: (value, what it is, note)."""
        if tiles:
            inner = "".join(
                f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span>'
                f"<small>{escape(note)}</small></div>"
                for value, what, note in tiles
            )
            self._parts.append(f'<div class="tiles">{inner}</div>')

    def add_metrics_table(
        self, metrics: Mapping[str, Any], notes: Mapping[str, str] | None = None,
        title: str = "Metrics", text: str = "",
        passports: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        """A table of metrics with what each means.

        Args:
            metrics: values by name; the exact value shows when the pointer rests on a number.
            notes: explanations by name, where the built-in one is missing or should be another.
            passports: by name, how a value was measured; can be unfolded beside it.
        """
        rows = []
        for name, value in metrics.items():
            known = meaning(name)
            words = (notes or {}).get(name, known.words)
            rows.append(
                f'<tr><th scope="row" title="{escape(name)}">{escape(known.title)}</th>'
                f'<td class="value" title="{escape(repr(value))}">'
                f"{escape(write_number(value, known.unit))}</td>"
                f'<td class="words">{escape(words)}{_passport((passports or {}).get(name))}</td>'
                f"</tr>"
            )
        self._section(title, f"<table><tbody>{''.join(rows)}</tbody></table>", text)

    def add_figure(self, title: str, image: Image, caption: str = "") -> None:
        """One picture with a caption."""
        self._section(title, figure(image, caption, alt=title, kind="figure"))

    def add_panels(self, title: str, panels: Sequence[tuple[str, Image]], text: str = "") -> None:
        """Small charts (title, image), as many beside each other as the screen has room for."""
        inner = "".join(
            f"<div><h3>{escape(name)}</h3>{figure(image, alt=name)}</div>" for name, image in panels
        )
        self._section(title, f'<div class="panels">{inner}</div>', text)

    def add_rows(
        self,
        title: str,
        rows: Sequence[Sequence[Image | None]],
        columns: Sequence[str] | Sequence[Sequence[str]],
        names: Sequence[str] = (),
        text: str = "",
        layout: str = "images",
    ) -> None:
        """Rows of pictures, each with a caption below; on a phone a row takes several lines.

        Args:
            rows: pictures; None leaves a picture out.
            columns: captions, the same for all rows or one list a row.
            names: a heading for each row.
            layout: `images` for columns of one width, `images fit` for as many pictures in a line
                as there is room for, `match` for a wide picture and two small.

        Raises:
            DataError: a row with more pictures than captions.
        """
        inner = []
        for number, row in enumerate(rows):
            own = columns if not columns or isinstance(columns[0], str) else columns[number]
            captions = [str(caption) for caption in own]
            if len(captions) < len(row):
                raise DataError(
                    f"row {number} of {title!r} has {len(row)} pictures, but {len(captions)} "
                    f"captions; give one a picture"
                )
            name = names[number] if number < len(names) else ""
            figures = "".join(
                figure(image, caption, alt=f"{caption} {name}".strip())
                for image, caption in zip(row, captions, strict=False)
                if image is not None
            )
            heading = f"<h3>{escape(name)}</h3>" if name else ""
            inner.append(
                f'<div class="row">{heading}<div class="{layout}" style="--columns:{len(row)}">'
                f"{figures}</div></div>"
            )
        self._section(title, "".join(inner), text)

    def add_legend(self, title: str, palette: Palette, classes: Sequence[str]) -> None:
        """The colour of each class.

        Raises:
            DataError: more classes than colours.
        """
        colours = as_palette(palette)
        if len(classes) > len(colours):
            raise DataError(
                f"{len(classes)} classes, but the palette has {len(colours)} colours; give it one "
                f"a class"
            )
        items = "".join(
            f'<li><i style="background:#{r:02x}{g:02x}{b:02x}"></i>{escape(name)}</li>'
            for (r, g, b), name in zip(colours.tolist(), classes, strict=False)
        )
        self._section(title, f'<ul class="legend">{items}</ul>')

    def add_facts(self, title: str, facts: Mapping[str, Any]) -> None:
        """Names and values; a value of several lines can be unfolded."""
        items = []
        for name, value in facts.items():
            text = write_number(value)
            shown = escape(text)
            if "\n" in text.strip():
                shown = f"<details><summary>show</summary><pre>{shown}</pre></details>"
            items.append(f"<dt>{escape(name)}</dt><dd>{shown}</dd>")
        self._section(title, f"<dl>{''.join(items)}</dl>")

    def add_bars(self, title: str, bars: Sequence[Bar], text: str = "", shown: int = 24) -> None:
        """A section of horizontal bars; those after the first `shown` can be unfolded."""
        drawn = [_bar(bar) for bar in bars]
        inner = f'<div class="bars">{"".join(drawn[:shown])}</div>'
        if len(drawn) > shown:
            inner += (
                f"<details><summary>{len(drawn) - shown} more</summary>"
                f'<div class="bars">{"".join(drawn[shown:])}</div></details>'
            )
        self._section(title, inner, text)

    def add_html(self, title: str, inner: str, text: str = "") -> None:
        """A section of ready HTML, in which whatever comes from outside is escaped already."""
        self._section(title, inner, text)

    def add_script(self, code: str) -> None:
        """JavaScript that runs when the page is there; the same code is taken once. The page's
        policy lets the browser run just this code, known by its hash, and load nothing."""
        if code not in self._scripts:
            self._scripts.append(code)

    def extend(self, other: Report) -> None:
        """Add all that another report holds."""
        self._parts.extend(other._parts)
        for code in other._scripts:
            self.add_script(code)

    def html(self) -> str:
        """The whole page."""
        title = escape(self.title)
        # The policy makes the browser itself refuse whatever would come from elsewhere.
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        policy += "; base-uri 'none'; form-action 'none'"
        if self._scripts:
            policy += f"; script-src {' '.join(script_hash(code) for code in self._scripts)}"
        scripts = "".join(f"<script>{code}</script>\n" for code in self._scripts)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{CSS}</style></head>\n<body><main><h1>{title}</h1>\n"
            + "\n".join(self._parts)
            + f"\n</main>\n{scripts}</body></html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to `path`, whole or not at all; its folder is made.

        Raises:
            ConfigError: the place cannot be written.
        """
        return write_atomically(path, self.html().encode("utf-8", "replace"))

    def _section(self, title: str, inner: str, text: str = "") -> None:
        heading = f"<h2>{escape(title)}</h2>" if title else ""
        note = f'<p class="note">{escape(text)}</p>' if text else ""
        self._parts.append(f"<section>{heading}{note}{inner}</section>")


def _passport(passport: Mapping[str, Any] | None) -> str:
    if not passport:
        return ""
    items = "".join(
        f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>{escape(write_number(value))}</dd>"
        for name, value in passport.items()
    )
    return f"<details><summary>how measured</summary><dl>{items}</dl></details>"


def _bar(bar: Bar) -> str:
    r, g, b = bar.colour
    return (
        f'<div class="bar"><span>{escape(bar.name)}</span>'
        f'<i><b style="width:{100 * min(max(bar.share, 0), 1):.1f}%;'
        f'background:#{r:02x}{g:02x}{b:02x}"></b></i><small>{escape(bar.note)}</small></div>'
    )
