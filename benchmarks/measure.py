"""One measurement in a process of its own; `run.py` calls it, and reads the JSON it prints last.

`time` does the plain and the fast work in turns, so that what else goes on in the machine meets
both alike. Memory is taken in processes that do one of the two alone: what the other left behind
would hide the peak.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

import torch

from benchmarks.cases import Case, Place, Work, all_cases
from benchmarks.machine import limit_memory, peak_memory, rates, settle

FEWEST, MOST = 3, 25
FORMS = ("plain", "fast")


def in_turns(case: Case, place: Place, forms: tuple[str, ...], budget: float) -> dict[str, Any]:
    """Seconds and CPU seconds of each form, round by round.

    Args:
        forms: those to measure; the order changes from round to round.
        budget: seconds after which no further round begins; there are 3 to 25 rounds.
    """
    work = case.make(place)
    found: dict[str, dict[str, list[float]]] = {
        form: {"seconds": [], "cpu_seconds": []} for form in forms
    }
    values = {form: _once(case, work, form, place)[2] for form in forms}  # warms up
    begun, rounds = time.perf_counter(), 0
    while rounds < FEWEST or (rounds < MOST and time.perf_counter() - begun < budget):
        for form in forms if rounds % 2 == 0 else forms[::-1]:
            seconds, cpu, _ = _once(case, work, form, place)
            found[form]["seconds"].append(seconds)
            found[form]["cpu_seconds"].append(cpu)
        rounds += 1
    return {**found, **_difference(values)}


def alone(case: Case, place: Place, form: str) -> dict[str, Any]:
    """MB by which the work's peak exceeds what its inputs (and weights, moments) hold."""
    work = case.make(place)
    with _context(case, form):
        work()  # the libraries get their buffers, the optimisers their moments
        gc.collect()
        with peak_memory(place.device) as peak:
            work()
            found = {"memory_mb": peak()}
    return found


def _once(case: Case, work: Work, form: str, place: Place) -> tuple[float, float, Any]:
    with _context(case, form):
        gc.collect()
        gc.disable()
        settle(place.device)
        start, cpu = time.perf_counter(), time.process_time()
        value = work()
        settle(place.device)
        elapsed = time.perf_counter() - start, time.process_time() - cpu
        gc.enable()
    return *elapsed, value


def _context(case: Case, form: str) -> AbstractContextManager[Any]:
    return case.plainly() if form == "plain" else nullcontext()


def _difference(values: dict[str, Any]) -> dict[str, float]:
    """How far the two forms' results (a loss) are apart, relative to their size."""
    if set(values) != set(FORMS) or any(not torch.is_tensor(v) for v in values.values()):
        return {}
    plain, fast = (float(values[form]) for form in FORMS)
    return {"difference": abs(fast - plain) / max(abs(plain), math.ulp(1.0))}


def summary(figures: dict[str, list[float]]) -> dict[str, Any]:
    """Least and median of each list beside it."""
    return {
        **figures,
        **{f"least_{kind}": min(values) for kind, values in figures.items()},
        **{f"median_{kind}": statistics.median(values) for kind, values in figures.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("rates", "time", *FORMS))
    parser.add_argument("--case", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--budget", type=float, default=10.0)
    parser.add_argument("--without-plain", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    place = Place(options.device, options.dtype)
    if options.device == "cpu":
        limit_memory()
    if options.what == "rates":
        found = rates(options.device, options.dtype)
    elif options.what == "time":
        case = all_cases()[options.case]
        forms = FORMS[1:] if options.without_plain else FORMS
        found = in_turns(case, place, forms, options.budget)
        found.update({form: summary(found[form]) for form in forms})
    else:
        found = alone(all_cases()[options.case], place, options.what)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
