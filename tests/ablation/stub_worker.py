"""Stands in for `mcltoolkit.ablation.worker`: no torch, made-up metrics, and a list of who ran.

A row named `bad` fails, one named `killed` is killed, one named `slow` waits for its end, one
named `own file` has a metric more.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
told = json.loads((folder / "run.json").read_text())
with open(folder.parent.parent / "started.txt", "a") as started:
    started.write(f"{told['title']} {os.environ['OMP_NUM_THREADS']}\n")
(folder / "step").write_text("1 4")
print("hello from the worker")
if told["row"] == "bad":
    (folder / "failed.json").write_text(json.dumps({"error": "ConfigError: no such thing"}))
    sys.exit(1)
if told["row"] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
while told["row"] == "slow":
    time.sleep(0.05)
metrics = {"label_accuracy": 0.5 + told["seed"] / 10, "psnr": 20.0, "cycle_error": 1.0}
if told["row"] == "own file":
    metrics["fid"] = 30.0
for place in told["evaluations"].values():
    told = {name: {"value": value, "passport": {}} for name, value in metrics.items()}
    content = json.dumps({"format": 1, "metrics": told})
    (folder / place / "metrics.json").write_text(content)
