import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mmengine.config import Config

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.config_files import (
    config_path,
    configs_folder,
    read_config,
    shown_path,
    toolkit_configs,
)
from mcltoolkit.engine.provenance import settings_of
from mcltoolkit.errors import ConfigError


def test_a_config_anywhere_inherits_from_the_toolkits(root, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(
        '_base_ = ["mcltoolkit::mclnet_scenes.py"]\n'
        "model = dict(losses=dict(mcl=dict(weight=_base_.num_classes * 1.0)))\n"
    )
    monkeypatch.chdir(tmp_path)
    shipped, mine = load_config(root / "configs/mclnet_scenes.py"), load_config("mine.py")
    assert mine.model.losses.mcl.weight == 6.0
    mine.model.losses.mcl.weight = shipped.model.losses.mcl.weight
    mine.work_dir = shipped.work_dir
    assert mine._cfg_dict == shipped._cfg_dict, "and no scope or helper is left in it"


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_plain_data_files_inherit_too(suffix, tmp_path):
    file = tmp_path / f"mine.{suffix}"
    file.write_text('{"_base_": "mcltoolkit::mclnet_scenes.py", "plugins": []}')
    assert load_config(file).model.type == "ExemplarGAN"
    assert settings_of(load_config(file))


def test_the_name_stands_in_place_of_a_path(root, tmp_path, monkeypatch):
    expected = load_config(root / "configs/ablations/scenes_small.py")
    monkeypatch.chdir(tmp_path)
    config = load_config("mcltoolkit::ablations/scenes_small.py")
    assert config._cfg_dict == expected._cfg_dict
    assert config.work_dir == "work_dirs/scenes_small"
    assert Path(config.filename) == root / "configs/ablations/scenes_small.py"


def test_every_config_has_a_name(root):
    assert configs_folder() == root / "configs"
    assert {"mclnet_scenes.py", "_base_/mclnet.py", "ablations/scenes.yaml"} <= set(
        toolkit_configs()
    )
    for name in toolkit_configs():
        assert config_path(f"mcltoolkit::{name}").is_file()


@pytest.mark.parametrize(
    "name", ["mclnet_scene.py", "mclnet_scenes", "../configs/mclnet_scenes.py"]
)
def test_an_unknown_name_is_an_error_with_near_ones(name, tmp_path):
    with pytest.raises(
        ConfigError, match=r"config mcltoolkit::.* does not exist.*mean 'mclnet_scenes\.py'"
    ):
        load_config(f"mcltoolkit::{name}")
    file = tmp_path / "mine.py"
    file.write_text(f'_base_ = "mcltoolkit::{name}"\n')
    with pytest.raises(ConfigError, match=r"does not exist.*mean 'mclnet_scenes\.py'"):
        load_config(file)


def test_a_package_that_has_no_configs_is_an_error(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text('_base_ = "surely_not_installed::a.py"\n')
    with pytest.raises(ConfigError, match=r"mine\.py cannot be read"):
        load_config(file)


def test_explain_names_the_toolkits_file(root, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text('_base_ = "mcltoolkit::mclnet_scenes.py"\ntrain_cfg = dict(max_iters=3)\n')
    monkeypatch.chdir(tmp_path)
    origins = {s.key: str(s.origin) for s in settings_of(load_config(file))}
    assert origins["train_cfg.max_iters"] == "mine.py:2"
    assert origins["train_cfg.val_interval"].startswith("mcltoolkit::mclnet_scenes.py:")
    assert origins["num_classes"] == "mcltoolkit::_base_/data_scenes.py:3"
    monkeypatch.chdir(root)
    assert shown_path(root / "configs" / "mclnet_scenes.py") == "configs/mclnet_scenes.py"


def test_threads_read_at_once_and_mmengine_is_as_before(tmp_path):
    before = Config.__dict__["_get_cfg_path"].__func__
    for number in range(8):
        (tmp_path / f"{number}.py").write_text(
            f'_base_ = "mcltoolkit::_base_/data_scenes.py"\nnumber = {number}\n'
        )
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda n: read_config(tmp_path / f"{n}.py"), range(8)))
    assert [(c.number, c.num_classes) for c in read] == [(n, 6) for n in range(8)]
    with pytest.raises(ConfigError):
        read_config("mcltoolkit::no")
    assert Config.__dict__["_get_cfg_path"].__func__ is before


@pytest.mark.integration
def test_a_wheel_brings_the_configs(root, tmp_path):
    wheels = tmp_path / "wheels"
    source = tmp_path / "source"
    tracked = ["setup.py", "pyproject.toml", "README.md", "mcltoolkit", "configs"]
    source.mkdir()
    for name in tracked:  # a build leaves folders in its source
        (source / name).symlink_to(root / name)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            "--wheel-dir", wheels, source,
        ],
        check=True,
    )  # fmt: skip
    site = tmp_path / "site"
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import mcltoolkit; from mcltoolkit.engine.config import load_config;"
        "from mcltoolkit.engine.config_files import toolkit_configs;"
        "print(mcltoolkit.__file__, *toolkit_configs(), sep='\\n');"
        "print(load_config('mcltoolkit::mclnet_scenes.py').filename)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    package, *names, opened = done.stdout.split()
    assert package == str(site / "mcltoolkit" / "__init__.py")
    assert names == toolkit_configs()
    assert (site / "mcltoolkit" / "plugin_template" / "loss" / "part.py").is_file()
    assert opened == str(site / "mcltoolkit" / "configs" / "mclnet_scenes.py")
