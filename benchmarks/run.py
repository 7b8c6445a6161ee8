"""Time and memory of the toolkit against the plain formulation of the same mathematics.

    python benchmarks/run.py --quick                     # minutes, on a laptop
    python benchmarks/run.py --full --threads 2          # everything: hours on two cores
    python benchmarks/run.py --full --only step/         # cases whose names begin so
    python benchmarks/run.py --quick --device cuda --dtype bfloat16
    python benchmarks/run.py --list

Each case has three processes: one in which both forms take turns (time), and one for each form
(memory). Results are written after each case; a run with the same --out goes on where it stopped.
Ratios are fast over plain: what is below 1 is saved. The machine's own rate of matrix products is
measured in the same run, and stands beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.cases import Case, all_cases
from benchmarks.machine import available_memory, machine, versions
from benchmarks.results import begin, ratios, save
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.errors import ConfigError, near_matches

ROOT = Path(__file__).resolve().parent.parent
FRESH = 300.0  # seconds for which a measured rate of the machine stands
SHARE_OF_MEMORY = 0.8
FORMS = ("fast", "plain")
# glibc gives every larger block back once it is freed: the kernel counts what is held, no more
EXACT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
DTYPES = ("float32", "float64", "bfloat16", "float16")


class Processes:
    """Calls `measure.py`, one process a measurement.

    Args:
        device, dtype, threads, budget, timeout: of each.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._rates: dict[str, float] = {}
        self._measured = -FRESH

    def __call__(self, what: str, *words: str) -> dict[str, Any]:
        """What the process printed; `{"error": ...}` where it failed or took too long."""
        options = self.options
        threads = str(options.threads)
        command = [
            sys.executable, str(ROOT / "benchmarks" / "measure.py"), what, "--device",
            options.device, "--dtype", options.dtype, "--threads", threads, *words,
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if what in FORMS:
            environment.update(EXACT_MEMORY)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=options.timeout
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {options.timeout:g} s (--timeout)"}
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            return dict(json.loads(lines[-1]))
        said = [line for line in done.stderr.splitlines() if line.strip()]
        told = said[-1] if said else "it said nothing"
        ended = f"status {done.returncode}: " if done.returncode > 0 else "killed: "
        return {"error": (ended + told)[:300]}

    def rates(self) -> dict[str, float]:
        """The machine's rates, not older than five minutes."""
        if time.monotonic() - self._measured > FRESH:
            self._rates, self._measured = self("rates"), time.monotonic()
        return self._rates


def measure(case: Case, run: Callable[..., dict[str, Any]], options: Any) -> dict[str, Any]:
    """All figures of a case, or why there are none."""
    free = options.memory * 2**30 if options.memory else available_memory()
    allowed = SHARE_OF_MEMORY * free / 2**30
    found: dict[str, Any] = {"group": case.group, "setting": dict(case.setting)}
    if case.series:
        found["series"] = dict(zip(("title", "along", "value"), case.series, strict=True))
    if case.fast_gb > allowed:
        return {**found, "left_out": f"needs about {case.fast_gb:.1f} GB"}
    words = ["--case", case.name]
    with_plain = case.plain_gb <= allowed and not options.without_plain
    if not with_plain:
        found["plain_left_out"] = (
            "not asked for" if options.without_plain else f"needs about {case.plain_gb:.1f} GB"
        )
    found["rates"] = run.rates() if isinstance(run, Processes) else run("rates")
    only_fast = [] if with_plain else ["--without-plain"]
    timed = run("time", *words, "--budget", str(options.budget), *only_fast)
    if "error" in timed:
        return {**found, "error": timed["error"]}
    found.update(timed)
    for form in FORMS if with_plain else FORMS[:1]:
        taken = run(form, *words)
        if "error" in taken:
            return {**found, "error": taken["error"]}
        found[form].update(taken)
    found["ratios"] = ratios(found)
    if case.operations:
        found["operations"] = case.operations
        best = max(value for value in found["rates"].values() if isinstance(value, float))
        for form in set(FORMS) & set(found):
            rate = case.operations / found[form]["least_seconds"] / 1e9
            found[form]["gflops"] = round(rate, 2)
            found[form]["share_of_rate"] = round(rate / best, 4)
    return found


def chosen(options: argparse.Namespace) -> dict[str, Case]:
    """The cases that are asked for.

    Raises:
        ConfigError: none is.
    """
    known = all_cases()
    cases = {name: case for name, case in known.items() if options.full or case.quick}
    if options.only:
        cases = {n: c for n, c in known.items() if any(n.startswith(w) for w in options.only)}
        if not options.full and not set(options.only) & set(cases):
            cases = {n: c for n, c in cases.items() if c.quick} or cases
    if not cases:
        words = ", ".join(options.only)
        raise ConfigError(
            f"--only {words} is the beginning of no case{near_matches(words, known)}; see the "
            f"names with --list"
        )
    return cases


def show(results: Mapping[str, Any], names: Mapping[str, Case], console: Console) -> None:
    """The table of ratios."""
    table = Table(title="fast / plain")
    for title in ("case", "time", "CPU", "memory", "fast, s", "fast, MB", "of the rate", "note"):
        table.add_column(title, justify="left" if title in ("case", "note") else "right")
    for name in names:
        case = results["cases"].get(name)
        if case is None:
            continue
        found, fast = case.get("ratios", {}), case.get("fast", {})
        cells = [found.get(kind) for kind in ("time", "cpu_time", "memory")]
        figures = [fast.get("median_seconds"), fast.get("memory_mb"), fast.get("share_of_rate")]
        forms = ("{:.3f}", "{:.0f}", "{:.0%}")
        note = case.get("error") or case.get("left_out") or case.get("plain_left_out", "")
        table.add_row(
            name,
            *("" if value is None else f"{value:.2f}" for value in cells),
            *("" if v is None else f.format(v) for v, f in zip(figures, forms, strict=True)),
            str(note)[:60],
        )
    console.print(table)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="small sizes (the default)")
    extent.add_argument("--full", action="store_true", help="all cases")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="cases whose names begin so; repeat for several")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    parser.add_argument("--dtype", default="float32", choices=DTYPES,
                        help="half precisions run under autocast")  # fmt: skip
    parser.add_argument("--out", default="work_dirs/benchmarks.json", metavar="FILE")
    parser.add_argument("--again", action="store_true", help="measure anew what FILE has")
    parser.add_argument("--without-plain", action="store_true", help="the toolkit's form alone")
    parser.add_argument("--budget", type=float, help="seconds for the rounds of a case; "
                        "default 4 with --quick, 20 with --full; at least 3 rounds")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=3600, help="seconds a process may take")
    parser.add_argument("--memory", type=float, metavar="GB", help="free memory, in place of what "
                        "the system tells")  # fmt: skip
    options = parser.parse_args(words)
    if options.budget is None:
        options.budget = 20.0 if options.full else 4.0
    if options.threads < 1:
        raise ConfigError(f"--threads is {options.threads}; allowed is 1 or more")
    return options


def main() -> None:
    options, console = parse(), Console()
    if options.list:
        for name, case in all_cases().items():
            print(f"{name}{'  (quick)' if case.quick else ''}")
        return
    cases, path = chosen(options), Path(options.out)
    settings = {name: getattr(options, name) for name in ("threads", "device", "dtype")}
    facts = {
        "machine": machine(options.device), "versions": versions(ROOT), "settings": settings,
    }  # fmt: skip
    results, run = begin(path, facts, options.again), Processes(options)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("benchmarks", total=len(cases))
        for name, case in cases.items():
            bar.update(task, description=name)
            old = results["cases"].get(name)
            if old is None or "error" in old:
                results["cases"][name] = measure(case, run, options)
                save(path, results)
            bar.advance(task)
    show(results, cases, console)
    print(f"{path}; pictures: python benchmarks/page.py {path}")
    failed = [name for name in cases if "error" in results["cases"][name]]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run_tool(main)
