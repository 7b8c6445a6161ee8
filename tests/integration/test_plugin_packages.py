"""Each package of plugins/, installed alone: found, conformant, trained on 2 ranks.

Its other tests run where all packages are installed, see tools/check.sh.
"""

import importlib.util
import os
import re
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted((ROOT / "plugins").glob("mcltoolkit-*"))
SHORT = (
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "default_hooks.checkpoint.interval=2",
    "default_hooks.logger.interval=1",
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "train_dataloader.dataset.length=8",
    "val_dataloader.batch_size=2",
    "val_dataloader.dataset.length=4",
)


def environment(folder, *packages):
    spec = importlib.util.spec_from_file_location(
        "plugin_environment", ROOT / "tests" / "plugin_environment.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(folder, list(packages))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_package_alone(package, tool, tmp_path):
    python = environment(tmp_path / "environment", package)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    alone = {"PATH": path, "PYTHON": str(python), "PYTHONPATH": ""}

    listed = tool(python, "-m", "mcltoolkit.cli", "plugins", **alone).stdout
    assert "NOT LOADED" not in listed
    sources = set(re.findall(r"entry point \S+ of (\S+)\)", listed))
    others = {other.name for other in PACKAGES} - {package.name}
    assert package.name in sources
    installed_before = installed_here()
    assert not (sources & others) - installed_before, "one package does not bring another"

    tests = package / "tests" / "test_conformance.py"
    done = tool(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, **alone)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-2000:]
    assert int(passed[1]) >= 9

    (config, *_) = sorted((package / "configs").glob("*_scenes.py"))
    work = tmp_path / "work"
    options = ("--work-dir", work, "--cfg-options", *SHORT)
    done = tool("bash", "tools/dist_train.sh", config, "2", *options, **alone)
    log = done.stdout + done.stderr
    assert re.search(r"Iter\(train\) *\[2/2\].*loss: [\d.]+", log), log[-3000:]
    checkpoint = torch.load(work / "iter_2.pth", weights_only=True)
    assert checkpoint["meta"]["iter"] == 2
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def installed_here():
    from importlib.metadata import entry_points

    return {entry.dist.name for entry in entry_points(group="mcltoolkit.plugins") if entry.dist}
