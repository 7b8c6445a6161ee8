"""A page of benchmark results, with curves of time and memory against size, plain and fast.

    python benchmarks/page.py work_dirs/benchmarks.json --out work_dirs/benchmarks.html
    python benchmarks/page.py work_dirs/benchmarks.json --into docs/performance.md

One HTML file that loads nothing. `--into` puts the tables between `<!-- figures -->` and
`<!-- end -->` of a Markdown page, `--markdown` into a file of their own.
"""

from __future__ import annotations

import argparse
import html
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.plot import curves, series_of
from benchmarks.results import filled, read_results
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.files import write_atomically
from mcltoolkit.visualization._style import CSS

GROUPS = {
    "parts": ("Parts", "each alone, forward and backward"),
    "whole": ("Whole models", "at full size"),
    "scaling": ("Narrow model", "an eighth of the width, so that large grids fit"),
}
OWN_CSS = """
.panels figure { margin-bottom: 4px; }
.panels svg { display: block; width: 100%; height: auto; }
.plain td, .plain th { font-variant-numeric: tabular-nums; }
.plain thead th { min-width: 0; }
"""
COLUMNS = (
    "case", "time", "CPU time", "memory", "fast", "plain", "fast, extra", "plain, extra",
    "of the rate",
)  # fmt: skip


def rows(results: Mapping[str, Any], group: str) -> Iterator[list[str]]:
    """Cells of the table of a group, in the order of measuring."""
    for name, case in ordered(results):
        if case.get("group") != group:
            continue
        if why := case.get("error") or case.get("left_out"):
            yield [name, f"not measured: {why}", *[""] * (len(COLUMNS) - 2)]
            continue
        ratios = case.get("ratios", {})
        fast, plain = case.get("fast", {}), case.get("plain", {})
        share = fast.get("share_of_rate")
        yield [
            name,
            *(_ratio(ratios.get(kind)) for kind in ("time", "cpu_time", "memory")),
            *(seconds(form.get("median_seconds")) for form in (fast, plain)),
            *(megabytes(form.get("memory_mb")) for form in (fast, plain)),
            "" if share is None else f"{share:.0%}",
        ]


def ordered(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Cases by name, numbers in it by size."""

    def key(item: tuple[str, Any]) -> list[tuple[int, int, str]]:
        return [
            (0, int(word), "") if word.isdigit() else (1, 0, word) for word in item[0].split("/")
        ]

    return sorted(results["cases"].items(), key=key)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def seconds(value: float | None) -> str:
    """Such as `3.2 ms` or `29 s`."""
    if value is None:
        return ""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def megabytes(value: float | None) -> str:
    """Such as `31 MB` or `3.1 GB`."""
    if value is None:
        return ""
    return f"{max(value, 0):.0f} MB" if value < 1000 else f"{value / 1024:.2f} GB"


def facts(results: Mapping[str, Any]) -> str:
    """Machine, versions and settings in one sentence."""
    machine, versions = results["machine"], results["versions"]
    settings = results["settings"]
    where = machine.get("gpu") or f"{machine['processor']}, {machine['cores']} cores"
    rates = [case["rates"] for case in results["cases"].values() if "rates" in case]
    found = [max(v for v in rate.values() if isinstance(v, float)) for rate in rates if rate]
    told = f"; matrix products {min(found):.0f} to {max(found):.0f} GFLOP/s" if found else ""
    threads = settings["threads"]
    return (
        f"{where}, {threads} thread{'s' if threads != 1 else ''}, {settings['dtype']}{told}; "
        f"torch {versions['torch']}, mcltoolkit {versions['mcltoolkit']} ({versions['commit']})"
    )


def write_page(results: Mapping[str, Any]) -> str:
    """The HTML."""
    parts = [f"<p class=lead>{html.escape(facts(results))}</p>"]
    for group, (title, note) in GROUPS.items():
        table = list(rows(results, group))
        if not table:
            continue
        panels = "".join(
            f"<figure><h3>{html.escape(panel.title)}</h3>{panel.svg}</figure>"
            for panel in curves(series_of(results, group))
        )
        parts.append(
            f"<section><h2>{title}</h2><p class=note>{note}. Ratios are fast over plain: below 1 "
            f"is saved. Memory is what is held beyond inputs, weights and moments.</p>"
            f'<div class="panels">{panels}</div><div class=wide><table class=plain><thead><tr>'
            + "".join(f"<th>{column}</th>" for column in COLUMNS)
            + "</tr></thead><tbody>"
            + "".join(_row(cells) for cells in table)
            + "</tbody></table></div></section>"
        )
    return (
        '<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content="'
        'width=device-width, initial-scale=1"><title>Benchmarks</title><style>'
        f"{CSS}{OWN_CSS}</style></head><body><main><h1>Benchmarks</h1>{''.join(parts)}</main>"
        "</body></html>\n"
    )


def _row(cells: list[str]) -> str:
    escaped = [html.escape(cell) for cell in cells]
    if cells[1].startswith("not measured"):
        return f"<tr><td>{escaped[0]}</td><td colspan={len(cells) - 1}>{escaped[1]}</td></tr>"
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in escaped) + "</tr>"


def write_markdown(results: Mapping[str, Any], note: str = "") -> str:
    """The tables, for a page of the documentation."""
    parts = [f"Measured on {facts(results)}. {note}".rstrip() + "\n"]
    for group, (title, note) in GROUPS.items():
        table = list(rows(results, group))
        if table:
            lines = [f"**{title}**, {note}\n", "| " + " | ".join(COLUMNS) + " |",
                     "| --- " + "| ---: " * (len(COLUMNS) - 1) + "|"]  # fmt: skip
            lines += ["| " + " | ".join([f"`{cells[0]}`", *cells[1:]]) + " |" for cells in table]
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", help="of benchmarks/run.py")
    parser.add_argument("--out", metavar="FILE", help="HTML; default beside the results")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables as Markdown, too")
    parser.add_argument("--into", metavar="PAGE", help="put the tables into a page")
    parser.add_argument("--note", default="", help="a sentence after the machine's, for --into")
    options = parser.parse_args()
    results = read_results(options.results)
    out = Path(options.out or Path(options.results).with_suffix(".html"))
    write_atomically(out, write_page(results).encode())
    print(out)
    if options.markdown:
        write_atomically(options.markdown, write_markdown(results).encode())
        print(options.markdown)
    if options.into:
        page = Path(options.into)
        tables = write_markdown(results, options.note).rstrip()
        write_atomically(page, filled(page.read_text(), {"figures": tables}).encode())
        print(page)


if __name__ == "__main__":
    run_tool(main)
