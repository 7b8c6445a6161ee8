"""A package of a third party, installed with pip, used by name in a config."""

import shutil
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def test_installed_package_is_used_by_name(tool, tiny_config, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(Path(__file__).parent / "third_party", source)
    site = tmp_path / "site"
    tool(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
        "--target", site, source,
    )  # fmt: skip
    config = tmp_path / "third.py"
    config.write_text(
        f"_base_ = {str(tiny_config)!r}\n"
        "encoder = dict(_delete_=True, type='PatchEncoder', width=12)\n"
        "model = dict(condition_encoder=encoder, image_encoder=encoder,\n"
        "    losses=dict(dark=dict(type='DarknessLoss', weight=0.1)))\n"
        "train_cfg = dict(max_iters=2)\n"
    )
    path = {"PYTHONPATH": str(site)}
    done = tool(sys.executable, "tools/train.py", config, "--work-dir", tmp_path / "work", **path)
    assert "loss_dark" in done.stdout + done.stderr
    assert (tmp_path / "work" / "iter_2.pth").is_file()
    listed = tool(sys.executable, "-m", "mcltoolkit.cli", "plugins", **path).stdout
    assert "DarknessLoss" in listed
    assert "PatchEncoder" in listed

    done = tool(
        sys.executable, "tools/train.py", config, "--work-dir", tmp_path / "again", ok=False
    )
    assert done.returncode == 2, "without the package the name is unknown"
    assert "unknown encoder 'PatchEncoder'" in done.stderr
