"""Fail on a regression: ratios of a new run against stored ones.

    python benchmarks/compare.py benchmarks/ratios.json work_dirs/benchmarks.json
    python benchmarks/compare.py benchmarks/ratios.json work_dirs/benchmarks.json --accept

A ratio is time (or memory) of the toolkit's form over that of the plain form in the same run. Ends
with status 1 where one grew by more than the tolerance, or a case that had figures failed; cases
that only one of the files has are counted, not compared. On a machine that others use too, compare
`--by cpu_time memory`. `--accept` writes the new ratios into the first file, beside those it has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from benchmarks.results import FORMAT, read_results
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.errors import ConfigError
from mcltoolkit.files import write_json

TOLERANCE = 0.10
KINDS = ("time", "cpu_time", "memory")
ALIKE = ("device", "dtype")


@dataclass(frozen=True)
class Change:
    """One ratio, before and now; `new` is None where the case failed.

    Attributes:
        spread: of a round, of the larger of both; 0 for memory.
    """

    case: str
    kind: str
    old: float
    new: float | None
    spread: float = 0.0
    note: str = ""

    @property
    def relative(self) -> float:
        """Growth, 0.1 for ten per cent."""
        return float("inf") if self.new is None else self.new / self.old - 1

    def regressed(self, tolerance: float) -> bool:
        """It grew by more than is tolerated, or is not there any more."""
        return self.relative > tolerance


def changes(
    old: Mapping[str, Any], new: Mapping[str, Any], kinds: Sequence[str]
) -> Iterator[Change]:
    """Ratios of the cases that both have."""
    for name, case in new["cases"].items():
        before = old["cases"].get(name, {}).get("ratios", {})
        now = case.get("ratios", {})
        for kind in kinds:
            if not before.get(kind):
                continue
            if "error" in case:
                yield Change(name, kind, before[kind], None, note=str(case["error"])[:60])
            elif kind in now:
                spread = max(ratios.get(f"{kind}_spread", 0.0) for ratios in (before, now))
                yield Change(name, kind, before[kind], now[kind], spread)


def accepted(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Stored ratios with those of a new run in their place."""
    kept = {
        name: {"ratios": case["ratios"]}
        for source in (old, new)
        for name, case in source.get("cases", {}).items()
        if case.get("ratios")
    }
    facts = {key: new[key] for key in ("machine", "versions", "settings") if key in new}
    return {"format": FORMAT, **facts, "cases": kept}


def check_alike(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse ratios of different devices or precisions.

    Raises:
        ConfigError: they differ.
    """
    for field in ALIKE:
        found = [file.get("settings", {}).get(field) for file in (old, new)]
        if found[0] != found[1]:
            raise ConfigError(
                f"{names[0]} was measured with {field} {found[0]!r}, {names[1]} with {found[1]!r}; "
                f"compare runs of one {field}"
            )


def show(found: Sequence[Change], tolerance: float, everything: bool) -> None:
    """The table of what regressed, or of all."""
    rows = [change for change in found if everything or change.regressed(tolerance)]
    if not rows:
        return
    table = Table()
    for title in ("case", "of", "old ratio", "new ratio", "change", "spread of a round", ""):
        table.add_column(title, no_wrap=title == "case")
    for change in sorted(rows, key=lambda change: -change.relative):
        failed = change.new is None
        table.add_row(
            change.case, change.kind, f"{change.old:.3f}",
            "failed" if failed else f"{change.new:.3f}",
            "" if failed else f"{change.relative:+.1%}",
            "" if failed or not change.spread else f"{change.spread:.1%}",
            change.note or ("REGRESSION" if change.regressed(tolerance) else ""),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", help="stored ratios, or results")
    parser.add_argument("new", help="results")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="default 0.10")
    parser.add_argument("--by", nargs="+", choices=KINDS, default=["time", "memory"])
    parser.add_argument("--all", action="store_true", help="show what did not regress, too")
    parser.add_argument("--accept", action="store_true", help="store the new ratios in OLD")
    options = parser.parse_args(words)
    if options.tolerance < 0:
        raise ConfigError(f"--tolerance is {options.tolerance}; allowed is 0 or more")
    new, stored = read_results(options.new), Path(options.old)
    if options.accept:
        old = read_results(stored) if stored.exists() else {}
        if old:
            check_alike(old, new, (options.old, options.new))
        write_json(stored, accepted(old, new))
        print(f"{stored}: {len(accepted(old, new)['cases'])} cases")
        return 0
    old = read_results(stored)
    check_alike(old, new, (options.old, options.new))
    found = list(changes(old, new, options.by))
    if not found:
        raise ConfigError(
            f"{options.old} and {options.new} have no case in common that has ratios of "
            f"{', '.join(options.by)}; run the same cases, with the plain form"
        )
    show(found, options.tolerance, options.all)
    worse = [change for change in found if change.regressed(options.tolerance)]
    apart = len(set(old["cases"]) ^ set(new["cases"]))
    print(
        f"{len(found)} ratios compared, {len(worse)} over {options.tolerance:.0%} worse; "
        f"{apart} cases in one file alone"
    )
    return 1 if worse else 0


if __name__ == "__main__":
    run_tool(lambda: sys.exit(main()))
