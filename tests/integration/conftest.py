import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(tmp_path):
    """Runs a command from the repository's root; returns the finished process."""

    def run(*command: str, ok: bool = True, **environment: str) -> subprocess.CompletedProcess:
        settings = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHON": sys.executable,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CUDA_VISIBLE_DEVICES": "",
            **environment,
        }
        done = subprocess.run(
            [str(part) for part in command], cwd=ROOT, env=settings, capture_output=True, text=True
        )
        if ok:
            assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done

    return run


@pytest.fixture
def train(tool, tiny_config):
    """tools/train.py on the tiny scenes."""

    def run(work_dir: Path, *options: str, **kwargs) -> subprocess.CompletedProcess:
        return tool(
            sys.executable,
            "tools/train.py",
            tiny_config,
            "--work-dir",
            work_dir,
            *options,
            **kwargs,
        )

    return run
