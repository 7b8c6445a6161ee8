"""Exemplar retrieval: time and memory for many pictures, and against the plain formulation.

    python benchmarks/retrieval.py                     25 000 x 25 000 pictures, 512 features
    python benchmarks/retrieval.py --compare 6000      both ways at a smaller size as well

Features and thumbnails are random unit vectors; every hundredth picture is a copy of another, and
groups of five are kept apart, so that all rules have work to do. Each case runs in a process of its
own, whose peak resident memory (with Python and torch: the first line) the operating system tells.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

import numpy as np
import torch

from mcltoolkit.data.retrieval import CosineSimilarity, Facts, Rules, rank
from mcltoolkit.data.retrieval.ranking import DECIMALS

THUMBNAIL, GROUP, THRESHOLD = 256, 5, 0.9


def made(count, width):
    """Features (N, D), and thumbnails (N, T) with copies."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((count, width), dtype=np.float32)
    thumbnails = rng.standard_normal((count, THUMBNAIL), dtype=np.float32)
    thumbnails /= np.linalg.norm(thumbnails, axis=1, keepdims=True)
    for array in (features, thumbnails):
        array[50::100] = array[: len(array[50::100])]
    return features, thumbnails


def chunked(count, width, top):
    """What tools/retrieve_exemplars.py does."""
    features, thumbnails = made(count, width)
    facts = Facts.of(np.arange(count), np.arange(count) // GROUP, None, thumbnails)
    return rank(
        CosineSimilarity(features, features), Rules(facts, facts, THRESHOLD), top
    ).candidates


def plain(count, width, top):
    """The same by whole tables and a sort of each row."""
    features, thumbnails = map(torch.from_numpy, made(count, width))
    unit = torch.nn.functional.normalize(features, dim=1)
    scores = (unit @ unit.T).mul_(10**DECIMALS).round_()
    alike = thumbnails @ thumbnails.T >= THRESHOLD
    groups = torch.arange(count) // GROUP
    scores = scores.masked_fill(alike | (groups[:, None] == groups), -torch.inf)
    picked = np.full((count, top), -1)
    for row, order in enumerate(scores.argsort(dim=1, descending=True, stable=True)):
        chosen = []
        for candidate in order.tolist():
            if len(chosen) == top:
                break
            if not alike[candidate, chosen].any():
                chosen.append(candidate)
        picked[row] = chosen
    return picked


def measure(name, count, width, top):
    """Run one case here; prints its figures as JSON."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    started, cpu = time.perf_counter(), time.process_time()
    picked = {"chunked": chunked, "plain": plain, "empty": lambda *_: np.zeros(0)}[name](
        count, width, top
    )
    figures = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "picked": picked.tolist() if count <= 10_000 else [],
    }
    print(json.dumps(figures))


def run(name, count, options):
    """The figures of a case, from a process of its own."""
    command = [
        sys.executable, __file__, "--case", name, "--count", str(count), "--width",
        str(options.width), "--top", str(options.top),
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{name:8s} {count:6d} x {count:<6d} {options.width:4d} features  "
        f"{figures['seconds']:7.1f} s  {figures['cpu_seconds']:7.1f} CPU s  "
        f"{figures['peak_mb']:7.0f} MB",
        flush=True,
    )
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=25_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--compare", type=int, default=6000, help="size for the plain way, or 0")
    parser.add_argument("--case", choices=("chunked", "plain", "empty"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        measure(options.case, options.count, options.width, options.top)
        return
    run("empty", 0, options)
    run("chunked", options.count, options)
    if options.compare:
        ours, theirs = (run(name, options.compare, options) for name in ("chunked", "plain"))
        same = np.mean(np.array(ours["picked"]) == np.array(theirs["picked"]))
        time_ratio, memory_ratio = (ours[k] / theirs[k] for k in ("cpu_seconds", "peak_mb"))
        print(
            f"chunked / plain at {options.compare}: CPU time {time_ratio:.2f}, memory "
            f"{memory_ratio:.2f}; {100 * same:.3f} % of picks equal"
        )


if __name__ == "__main__":
    main()
