"""From a config file and command-line options to the config that is run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from mmengine.config import Config, DictAction

from mcltoolkit.engine.adjust import adjust_config
from mcltoolkit.engine.config_files import config_path, read_config
from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.plugins import load_plugins

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing share."""
    parser.add_argument(
        "config",
        help="config file, such as configs/mclnet_scenes.py, or mcltoolkit::mclnet_scenes.py "
        "wherever you are",
    )
    parser.add_argument("--work-dir", help="folder for logs, checkpoints, pictures")
    parser.add_argument(
        "--data-root", help="folder of the data set, in place of the config's data_root"
    )
    parser.add_argument(
        "--vgg-weights",
        metavar="PATH|torchvision|random",
        help="VGG-19 weights: a file, torchvision's (downloaded), or random ones for trials",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        metavar="KEY=VALUE",
        help="settings to override, such as train_cfg.max_iters=100 model.losses.mcl=None",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def load_config(
    path: str | Path,
    options: dict[str, Any] | None = None,
    *,
    work_dir: str | None = None,
    data_root: str | None = None,
    vgg_weights: str | None = None,
    launcher: str = "none",
) -> Config:
    """Read a config, apply the command line, load the plugins it names, and let plugins adjust it.

    Args:
        path: a Python, YAML or JSON config of mmengine, or `mcltoolkit::NAME` for one that comes
            with the toolkit.
        options: dotted key -> value; each key's first part must exist in the config.
        work_dir: default `work_dirs/CONFIG_NAME`.
        data_root: replaces `data_root` in every data loader's data set.
        vgg_weights: replaces `model.vgg.weights`.
        launcher: `none`, `pytorch`, `slurm` or `mpi`.

    Raises:
        ConfigError: no such file, a broken file, or an option that changes nothing.
        PluginError: a plugin that the config names cannot be loaded, or one failed to adjust it.
    """
    config, path = read_config(path), config_path(path)
    options = options or {}
    for key in options:
        first = key.split(".")[0]
        if first not in config:
            raise ConfigError(
                f"--cfg-options {key}: {path} has no setting {first!r}"
                f"{near_matches(first, list(config))}"
            )
        _open(config, key, options[key])
    try:
        config.merge_from_dict(options)
    except (TypeError, KeyError, IndexError) as error:
        raise ConfigError(f"--cfg-options do not fit {path}: {error}") from error
    if vgg_weights is not None:
        if not config.model.get("vgg"):
            raise ConfigError(
                f"--vgg-weights {vgg_weights}: {path} sets no model.vgg, so no loss reads VGG "
                f"features; leave the option out"
            )
        config.model.vgg.weights = vgg_weights
    if data_root is not None:
        _set_data_root(config, data_root, path)
    config.work_dir = work_dir or config.get("work_dir") or f"work_dirs/{path.stem}"
    config.launcher = launcher
    config.setdefault("default_scope", "mcltoolkit")
    load_plugins(config.get("plugins") or ())
    adjust_config(config)
    return config


def check_writable(folder: str | Path) -> None:
    """Make the folder and try to write into it.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"work directory {folder} cannot be written ({error.strerror}); "
            f"give another one with --work-dir"
        ) from error


def plain_config(config: Config | dict[str, Any]) -> dict[str, Any]:
    """A config as plain data, which a checkpoint can carry: classes and functions become their
    dotted names.

    Raises:
        ConfigError: a setting is an object that has no plain form.
    """
    content = config.to_dict() if isinstance(config, Config) else config
    return {str(key): _plain(value, str(key)) for key, value in content.items()}


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, PurePath):
        return str(value)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    raise ConfigError(
        f"config setting {where} is an object of {type(value).__name__}, which no checkpoint can "
        f"carry; give a number, text, list or dict, such as dict(type='NAME', ...)"
    )


def _open(config: Config, key: str, value: Any) -> None:
    """Turn None on the way to the dotted `key` into an empty dict, so that options may switch on
    what the config has switched off."""
    names = key.split(".")
    node: Any = config
    for name in names if isinstance(value, dict) else names[:-1]:
        if not isinstance(node, (Config, dict)) or name not in node:
            return
        if node[name] is None:
            node[name] = {}
        node = node[name]


def _set_data_root(config: Config, root: str, path: Path) -> None:
    datasets = [
        config[name].dataset
        for name in ("train_dataloader", "val_dataloader", "test_dataloader")
        if config.get(name) and "data_root" in config[name].dataset
    ]
    if not datasets:
        raise ConfigError(
            f"--data-root {root}: no data set of {path} has a data_root; leave the option out"
        )
    for dataset in datasets:
        dataset.data_root = root


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """`load_config`'s keyword arguments from parsed options."""
    return {
        "options": arguments.cfg_options,
        "work_dir": arguments.work_dir,
        "data_root": arguments.data_root,
        "vgg_weights": arguments.vgg_weights,
        "launcher": arguments.launcher,
    }


def parse(description: str, arguments: Sequence[str] | None, extend: Any) -> argparse.Namespace:
    """Parse a tool's command line: the shared options and those that `extend(parser)` adds."""
    parser = argparse.ArgumentParser(description=description)
    add_options(parser)
    extend(parser)
    return parser.parse_args(arguments)
