"""The packages of plugins/ as a whole: complete, and never needed by the core."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted((ROOT / "plugins").glob("mcltoolkit-*"))
NAMES = {package.name.replace("-", "_") for package in PACKAGES}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_the_packages_are_there():
    assert {package.name.removeprefix("mcltoolkit-") for package in PACKAGES} >= {
        "unite", "cocosnet2", "contrast", "backbones", "baselines",
    }  # fmt: skip


def test_the_core_imports_no_plugin():
    files = [*(ROOT / "mcltoolkit").rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    assert len(files) > 100
    assert {file.name: found for file in files if (found := NAMES & set(imports(file)))} == {}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_package_is_whole(package):
    module = package / package.name.replace("-", "_")
    for part in ("setup.py", "README.md", "configs/compare.yaml", "tests/test_conformance.py"):
        assert (package / part).is_file(), part
    setup = (package / "setup.py").read_text()
    assert re.search(rf'name="{package.name}"', setup)
    assert re.search(rf'"mcltoolkit.plugins": \["\w+ = {module.name}"\]', setup)
    assert (module / "py.typed").is_file()
    assert "contract_version = 1" in (module / "__init__.py").read_text()
    scenes = sorted((package / "configs").glob("*_scenes.py"))
    assert scenes, "a config that trains on the synthetic scenes"
    assert len(list((package / "configs").glob("*_ade20k*.py"))) >= 1, "a config of full size"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_package_uses_no_other_package(package):
    own = package.name.replace("-", "_")
    for file in (package / own).rglob("*.py"):
        assert set(imports(file)) & (NAMES - {own}) == set(), file


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_a_readme_names_every_config_and_compares(package):
    text = (package / "README.md").read_text()
    for config in (package / "configs").glob("*.py"):
        if not config.name.startswith("compare"):  # those of the table
            assert config.name in text, config.name
    assert not re.search(r"^(TABLE|FULL)$", text, re.MULTILINE)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    measured = [line for line in tables if re.search(r"\d ?± ?\d|\| ?0\.\d+[ ,]", line)]
    matrix = yaml.safe_load((package / "configs" / "compare.yaml").read_text())
    assert len(measured) >= len(matrix["changes"])
