"""`mcltoolkit new-plugin`: a package with one working component, to be changed into one's own.

The folders beside this file hold its texts: `common` those of every package, the others those of a
kind of component. They are code that is checked like all other, with stand-ins for the names.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from torch import nn

from mcltoolkit.engine.config_files import read_config
from mcltoolkit.errors import ConfigError
from mcltoolkit.hookspecs import ENTRY_POINT_GROUP
from mcltoolkit.plugins import load_plugins
from mcltoolkit.registry import REGISTRIES

KINDS = ("loss", "encoder", "correspondence", "generator", "discriminator")
BASE = "mcltoolkit::mclnet_scenes.py"
PREFIX = "mcltoolkit-"
OWN_FOLDERS = ("tests", "configs", "setup")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """What a new plugin and its parts are called.

    Attributes:
        distribution: as pip knows it, such as `sharp-edges`.
        package: as Python imports it, such as `sharp_edges`.
        entry: name of the entry point: the package's, without a leading `mcltoolkit_`.
        part: class and registered name of the component, such as `SharpEdgesLoss`.
        term: its key among the losses of a config; not one that the config has already.
    """

    distribution: str
    package: str
    entry: str
    part: str
    term: str


def plugin_names(name: str, kind: str) -> Names:
    """Names that follow from the one that the user chose.

    Raises:
        ConfigError: no name for a package, or one that a module or component has already.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"plugin name {name!r} cannot be used: it must begin with a letter, and have letters, "
            f"digits and single '-', '_' or '.' between them, such as sharp-edges"
        )
    distribution = re.sub(r"[-_.]+", "-", name).lower()
    package = distribution.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or _installed(package):
        raise ConfigError(
            f"plugin name {name!r} cannot be used: {package!r} is a module or word of Python's, or "
            f"of a package that is installed; choose another"
        )
    short = distribution.removeprefix(PREFIX)
    entry = short.replace("-", "_")
    if package in OWN_FOLDERS or not entry.isidentifier() or keyword.iskeyword(entry):
        raise ConfigError(
            f"plugin name {name!r} cannot be used: {entry!r} is no name for something in Python, "
            f"or that of a part of the package; choose another, such as sharp-edges"
        )
    found = [
        e.dist.name for e in entry_points(group=ENTRY_POINT_GROUP) if e.name == entry and e.dist
    ]
    if found:
        raise ConfigError(
            f"plugin name {name!r} cannot be used: {found[0]}, which is installed, has an entry "
            f"point {entry!r}; choose another"
        )
    words, ending = [word.capitalize() for word in short.split("-")], kind.capitalize()
    part = "".join(words).removesuffix(ending) + ending
    load_plugins()
    registry = REGISTRIES["losses" if kind == "loss" else f"{kind}s"]
    if part == ending or part in registry.module_dict:
        raise ConfigError(
            f"plugin name {name!r} cannot be used: its {kind} would be called {part!r}, which says "
            f"nothing or is there already (`mcltoolkit plugins` lists all); choose another"
        )
    taken = entry in read_config(BASE).model.losses or hasattr(nn.ModuleDict(), entry)
    return Names(distribution, package, entry, part, f"{entry}_loss" if taken else entry)


def new_plugin(name: str, kind: str, out: str | os.PathLike[str] = ".") -> Path:
    """Write a package with one component, a config that uses it, and tests.

    Args:
        name: of the distribution; what else is named follows from it (`plugin_names`).
        kind: one of `KINDS`.
        out: folder that the package's folder is made in.

    Returns:
        The package's folder, `OUT/DISTRIBUTION`. It is there whole or not at all.

    Raises:
        ConfigError: a name or kind that cannot be used, a folder that exists already, or a place
            that cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; allowed are {', '.join(KINDS)}")
    names = plugin_names(name, kind)
    target = Path(out, names.distribution)
    if target.exists() or target.is_symlink():
        raise ConfigError(
            f"{target} exists already and is left as it is; choose another name or --out"
        )
    files = plugin_files(names, kind)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-plugin-") as folder:
            whole = Path(folder, names.distribution)
            for file, text in files.items():
                (whole / file).parent.mkdir(parents=True, exist_ok=True)
                (whole / file).write_text(text, encoding="utf-8")
            whole.rename(target)
    except OSError as error:
        raise ConfigError(
            f"cannot write {target}: {error.strerror or error}; choose another place with --out"
        ) from error
    return target


def plugin_files(names: Names, kind: str) -> Mapping[str, str]:
    """Texts of a new package by path inside its folder."""
    sources = {
        "setup.py": "common/setup.py",
        "README.md": "common/README.md",
        f"{names.package}/__init__.py": "common/package.py",
        f"{names.package}/{kind}.py": f"{kind}/part.py",
        f"configs/{names.package}_scenes.py": f"{kind}/config.py",
        "tests/test_conformance.py": f"{kind}/conformance.py",
        "tests/test_configs.py": "common/test_configs.py",
    }
    stand_ins = {
        "my-plugin": names.distribution,
        "my_plugin": names.package,
        "my_entry": names.entry,
        "my_kind": kind,
        "my_term": names.term,
        "MyPart": names.part,
    }
    either = re.compile("|".join(stand_ins))
    folder = Path(__file__).parent
    texts = {
        file: either.sub(
            lambda found: stand_ins[found[0]], (folder / source).read_text(encoding="utf-8")
        )
        for file, source in sources.items()
    }
    return {**texts, f"{names.package}/py.typed": ""}


def _installed(package: str) -> bool:
    """Whether a module of that name can be imported; a folder that merely has the name cannot."""
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None
