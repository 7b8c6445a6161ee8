"""An explanation as tables: wrapped to a terminal's width, Markdown in files and pipes."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcltoolkit.engine.explain import Explanation
from mcltoolkit.engine.provenance import ABSENT

WIDEST = 100_000  # columns of a line that is not wrapped


def print_explanation(found: Explanation, file: TextIO | None = None) -> None:
    """Print parts, losses, training and settings."""
    height, width = found.size
    print_table(
        f"Model of {found.config}: one sample of {height} x {width} ({found.device} device)",
        ("part", "component", "plugin", "parameters", "output"),
        [(p.name, p.component, p.plugin, _number(p.parameters), p.output) for p in found.parts],
        file,
    )
    rows = [
        (t.name, f"{t.weight:g}", t.component, t.plugin, _number(t.parameters), ", ".join(t.reads))
        for t in found.terms
    ]
    rows += [(name, "off", "", "", "", "") for name in found.off]
    columns = ("loss", "weight", "component", "plugin", "parameters", "reads")
    print_table("Losses", columns, rows, file)
    print_table("Training", ("what", "settings"), found.training.items(), file)
    print_table(
        "Settings",
        ("setting", "set by", "value"),
        [(s.key, str(s.origin), repr(s.value)) for s in found.settings],
        file,
    )


def print_differences(
    names: tuple[str, str], rows: Iterable[tuple[str, Any, Any]], file: TextIO | None = None
) -> None:
    """Print the settings in which two configs differ; see `differences`."""
    shown = (tuple(v if v in (ABSENT, row[0]) else repr(v) for v in row) for row in rows)
    print_table("Differences", ("setting", *names), shown, file)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], file: TextIO | None = None
) -> None:
    """Print one table; nothing in it is cut off."""
    file = file or sys.stdout
    style = box.SIMPLE if file.isatty() else box.MARKDOWN
    table = Table(title=title, title_justify="left", title_style="bold", box=style)
    for name in columns:
        right = name in ("parameters", "weight")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if file.isatty():
        Console(file=file).print(table)
        return
    plain = io.StringIO()
    Console(file=plain, width=WIDEST, color_system=None).print(table)
    file.writelines(line.rstrip() + "\n" for line in plain.getvalue().splitlines())


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
