import os
import subprocess
import sys

import pytest

from mcltoolkit.waiting import wait_quietly


@pytest.fixture
def environment(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)
    return monkeypatch


def test_threads_spin_shortly(environment):
    wait_quietly()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert 0 < int(os.environ["GOMP_SPINCOUNT"]) < 10_000


def test_what_the_environment_says_stays(environment):
    environment.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_quietly()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ
    environment.delenv("OMP_WAIT_POLICY")
    environment.setenv("GOMP_SPINCOUNT", "7")
    wait_quietly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_it_can_be_said_before_torch_is_imported():
    code = "import sys, mcltoolkit.waiting; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
