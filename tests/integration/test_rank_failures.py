"""What tools/dist_train.sh tells where ranks die, cannot meet or are told to stop."""

import os
import signal
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

PLUGIN = """
import os, signal
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mcltoolkit import HOOKS, hookimpl

@HOOKS.register_module()
class BreakHook(Hook):
    def __init__(self, how):
        self.how = how
    def before_run(self, runner):
        if get_rank() == 1:
            discriminator = runner.model.module.discriminator.module
            discriminator.register_forward_pre_hook(lambda *_: self.end(runner))
    def end(self, runner):  # in the middle of the second step
        if runner.iter == 1:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("on one rank")

@hookimpl
def register_components():
    pass
"""


@pytest.fixture
def broken(tool, tiny_config, tmp_path):
    """Runs a training of two ranks, the second of which ends in the middle of a step."""

    def run(how):
        (tmp_path / "break_rank.py").write_text(PLUGIN)
        config = tmp_path / "broken.py"
        config.write_text(
            f"_base_ = {str(tiny_config)!r}\n"
            "plugins = ['break_rank']\n"
            f"custom_hooks = [dict(type='BreakHook', how={how!r})]\n"
        )
        command = ("tools/dist_train.sh", config, "2", "--work-dir", tmp_path / "work")
        return tool(*command, ok=False, PYTHONPATH=str(tmp_path))

    return run


def said(done):
    """Lines of standard error that are not the survivor's nor blank, as a progress bar's end is."""
    lines = done.stderr.splitlines()
    return [line for line in lines if line.strip() and "lost contact" not in line]


def test_a_killed_rank_ends_the_other_with_the_cause_first(broken):
    done = broken("killed")
    first, second = said(done)
    assert "rank 1 (process " in first
    assert "was killed by SIGKILL: most often the memory ran out" in first
    assert second == "ranks 0 of this node were ended with it"
    assert done.returncode == 137


def test_an_exception_on_one_rank_ends_the_other_with_the_cause_first(broken):
    done = broken("raised")
    lines = said(done)
    assert "rank 1 (process " in lines[0]
    assert lines[0].endswith("failed: ZeroDivisionError: on one rank")
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert 'raise ZeroDivisionError("on one rank")' in done.stderr
    assert done.returncode == 1


def test_a_mistake_on_every_rank_is_told_once(tool, tiny_config):
    done = tool("tools/dist_train.sh", tiny_config, "2", "--work-dir", "/proc/none", ok=False)
    assert done.stderr.startswith("ConfigError: work directory /proc/none cannot be written")
    assert done.stderr.count("ConfigError") == 1
    assert done.returncode == 2


def test_a_taken_port_is_named(tool, tiny_config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = tool("tools/dist_train.sh", tiny_config, "2", ok=False, PORT=port)
    assert done.stderr.startswith(f"port {port} of this machine cannot be used")
    assert "Set PORT to another number" in done.stderr
    assert done.returncode == 2


STOPPABLE = """
import os, pathlib, signal, sys, time
done = []
signal.signal(signal.SIGUSR1, lambda *_: done.append(1))
rank = os.environ["RANK"]
if os.fork() == 0:  # as a data worker
    signal.signal(signal.SIGUSR1, lambda *_: print("worker signalled", flush=True))
    while os.getppid() != 1 and pathlib.Path(sys.argv[1], "run").exists():
        time.sleep(0.05)
    os._exit(0)
pathlib.Path(os.environ["MCLTOOLKIT_RANKS"], rank).write_text(str(os.getpid()))
print("ready", flush=True)
while not done:
    time.sleep(0.05)
print(f"rank {rank} stops", flush=True)
time.sleep(0.2)
"""


def test_a_signal_reaches_the_ranks_alone_and_their_status_comes_back(tmp_path):
    tool = tmp_path / "stoppable.py"
    tool.write_text(STOPPABLE)
    (tmp_path / "run").touch()
    command = [sys.executable, "-m", "mcltoolkit.launcher", "2", str(tool), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    lines = [launcher.stdout.readline() for _ in range(2)]
    assert lines == ["ready\n"] * 2
    launcher.send_signal(signal.SIGUSR1)
    launcher.wait()
    (tmp_path / "run").unlink()
    rest = launcher.stdout.read()
    assert sorted(rest.splitlines()) == ["rank 0 stops", "rank 1 stops"]
    assert launcher.returncode == 0
