"""Trains in a child process that is killed (SIGKILL) again and again, and goes on each time.

    python tests/integration/killed_runs.py CONFIG WORK_DIR KILLS

Prints what happened as JSON. A child is forked from a process that has imported everything, so that
a kill costs a second. It reports its progress through a pipe; kills come at random moments, most
of them while a checkpoint is being written.
"""

import contextlib
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, os.getcwd())

from mmengine.hooks import Hook

import mcltoolkit.engine.runner as runner_module
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
from tests.engine.test_resume import compare


class ReportHook(Hook):
    """Tells where the run starts and which steps are done."""

    priority = "VERY_HIGH"

    def __init__(self, tell, last):
        self.tell = tell
        self.last = last

    def before_train(self, runner):
        self.tell("R", runner.iter)

    def after_train_iter(self, runner, *_, **__):
        self.tell("D", runner.iter + 1)
        runner.train_loop.stop_training = runner.iter + 1 == self.last


def settings(config, work_dir):
    return load_config(
        config,
        {
            "train_cfg.max_iters": 10_000,
            "default_hooks.checkpoint.interval": 1,
            "default_hooks.checkpoint.max_keep_ckpts": 3,
            "train_dataloader.dataset.length": 10,
            "model.losses": dict.fromkeys(("cxt", "per", "fm", "feature_matching", "cyc", "mcl")),
            "val_dataloader": None,
            "val_cfg": None,
            "val_evaluator": None,
            "visualizer.vis_backends": [],
            "custom_hooks": [dict(type="ProgressHook"), dict(type="EMAHook")],
            "log_level": "ERROR",
        },
        work_dir=str(work_dir),
    )


def child(config, work_dir, last, pipe):
    """Train until the last step or the kill."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    write = runner_module.save_whole

    def tell(word, number):
        os.write(pipe, f"{word} {number}\n".encode())

    def save_whole(value, path):
        tell("B", int(Path(path).stem.split("_")[1]))
        write(value, path)
        tell("E", int(Path(path).stem.split("_")[1]))

    runner_module.save_whole = save_whole
    chosen = settings(config, work_dir)
    runner = runner_module.TranslationRunner
    register = runner.register_hooks
    runner.register_hooks = lambda self, *given: (
        register(self, *given),
        self.register_hook(ReportHook(tell, last)),
    )
    train(chosen, resume="auto")


def start(config, work_dir, last=None):
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            child(config, work_dir, last, writing)
        except BaseException as error:
            os.write(writing, f"F {type(error).__name__}: {error}".splitlines()[0].encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    return process, reading


def trial(config, work_dir, in_save, chance):
    """One run that is killed; its events in order."""
    process, reading = start(config, work_dir)
    text = ""
    after = chance.randrange(1, 3)  # steps, or saves, to wait for
    delay = chance.random() * 0.02

    def due():
        return text.count("B " if in_save else "D ") >= after

    while not due():
        block = os.read(reading, 4096)
        if not block:
            break
        text += block.decode()
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    while select.select([reading], [], [], 0)[0] and (block := os.read(reading, 4096)):
        text += block.decode()
    os.close(reading)
    events = [line.split(" ", 1) for line in text.splitlines()]
    assert os.WIFSIGNALED(status), f"ended by itself: {events}"
    return [(word, int(number)) for word, number in events]


def main(config, work_dir, kills):
    chance = random.Random(5)
    work = Path(work_dir, "killed")
    result = dict(kills=0, inside_a_save=0, half_written=0, steps_lost=[], failures=[])
    saved = done = 0
    for number in range(kills):
        try:
            events = trial(config, work, number % 3 != 0, chance)
        except AssertionError as error:
            result["failures"].append(str(error))
            break
        started = next(n for word, n in events if word == "R")
        if started < saved:
            result["failures"].append(f"went on from {started}, though {saved} was saved")
        result["steps_lost"].append(done - started)
        done = max([n for word, n in events if word == "D"], default=started)
        saved = max([n for word, n in events if word == "E"], default=started)
        result["kills"] += 1
        result["inside_a_save"] += events[-1][0] == "B"
        result["half_written"] += bool(list(work.glob(".iter_*.tmp")))
    last = saved + 2
    for folder in (work, Path(work_dir, "whole")):
        process, reading = start(config, folder, last)
        events = b"".join(iter(lambda reading=reading: os.read(reading, 4096), b"")).decode()
        os.close(reading)
        if os.waitpid(process, 0)[1] != 0:
            result["failures"].append(events[-500:])
    result["left"] = sorted(p.name for p in work.iterdir() if p.name.startswith(".iter"))
    result["steps"] = last
    if not result["failures"]:
        compare(work / f"iter_{last}.pth", Path(work_dir, "whole") / f"iter_{last}.pth")
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
