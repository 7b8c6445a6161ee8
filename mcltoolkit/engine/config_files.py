"""Reading config files, wherever they lie: `mcltoolkit::NAME` means a config of the toolkit.

A config of a plugin or of a user's own folder may inherit from `mcltoolkit::mclnet_scenes.py`, and
the tools take such a name in place of a path. mmengine has names of this form too, but looks them
up with a module that current installations lack; `read_config` answers those of the toolkit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

import mcltoolkit
from mcltoolkit.errors import ConfigError, near_matches

PREFIX = "mcltoolkit::"
SUFFIXES = (".py", ".yaml", ".yml", ".json")

_mmengine_is_changed = threading.RLock()


def configs_folder() -> Path:
    """The folder of the toolkit's configs: in an installed wheel it lies inside the package, in a
    clone beside it.

    Raises:
        ConfigError: the installation has none.
    """
    package = Path(mcltoolkit.__file__).resolve().parent
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "_base_").is_dir():
            return folder
    raise ConfigError(
        f"this installation of mcltoolkit ({package}) has no configs folder; install it anew from "
        f"a wheel or a clone"
    )


def toolkit_configs() -> list[str]:
    """Names of the toolkit's configs as they follow `mcltoolkit::`, such as `mclnet_scenes.py`."""
    folder = configs_folder()
    return sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.suffix in SUFFIXES
    )


def config_path(name: str | Path, folder: str | Path = ".") -> Path:
    """The file of a config.

    Args:
        name: a path, or `mcltoolkit::NAME` for a config that comes with the toolkit.
        folder: what a relative path starts from.

    Raises:
        ConfigError: there is no such file; the message has near matches.
    """
    text = os.fspath(name)
    if text.startswith(PREFIX):
        known, wanted = toolkit_configs(), text.removeprefix(PREFIX)
        if wanted not in known:
            raise ConfigError(
                f"config {text} does not exist: the toolkit comes with no {wanted!r}"
                f"{near_matches(wanted, known)}; its configs lie in {configs_folder()}"
            )
        return configs_folder() / wanted
    path = Path(folder, text)
    if not path.is_file():
        beside = [file.name for file in path.parent.glob("*") if file.suffix in SUFFIXES]
        raise ConfigError(f"config {path} does not exist{near_matches(path.name, beside)}")
    return path


def shown_path(path: Path) -> str:
    """How messages call a config file: relative to the current folder where it lies inside,
    `mcltoolkit::NAME` where it is the toolkit's, else in full."""
    for folder, prefix in ((Path.cwd(), ""), (configs_folder(), PREFIX)):
        if path.is_relative_to(folder):
            return prefix + path.relative_to(folder).as_posix()
    return str(path)


def read_config(name: str | Path) -> Config:
    """A config file with everything that it inherits; `_base_` may name `mcltoolkit::` configs.

    Nothing is written, and threads may read at the same time.

    Args:
        name: as for `config_path`.

    Raises:
        ConfigError: the file, or one that it inherits from, does not exist or cannot be read.
    """
    path = config_path(name)
    try:
        with _toolkit_names():
            return Config.fromfile(str(path))
    except ConfigError:
        raise
    except Exception as error:  # a Python config may raise anything, and each parser its own
        raise ConfigError(
            f"config {name} cannot be read: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _toolkit_names() -> Iterator[None]:
    """Let mmengine resolve `mcltoolkit::` names; it offers no place to say so."""
    with _mmengine_is_changed:
        theirs = Config._get_cfg_path

        def resolve(name: str, file: str) -> tuple[str, str | None]:
            if name.startswith(PREFIX):
                return str(config_path(name)), None
            return theirs(name, file)

        Config._get_cfg_path = staticmethod(resolve)
        try:
            yield
        finally:
            Config._get_cfg_path = staticmethod(theirs)
