"""The contract between the toolkit and its plugins: the functions that a plugin may have.

A plugin is a module or object with functions marked `@mcltoolkit.hookimpl` that are named as those
below. A function takes as many of the arguments listed here as it wants, by name; all functions are
optional, one is needed. Plugins are called in the order of loading: entry points of the group
`mcltoolkit.plugins` by name, then the modules of a config's `plugins=[...]`.

A plugin states the contract it was written for: `contract_version = 1`; one that states none is
taken to be made for version 1.

What may change:

- The version is one whole number. New hooks and new arguments do not raise it: plugins that do not
  know them go on working, and one that has a new hook but can do without marks it
  `@hookimpl(optionalhook=True)` to work with older toolkits as well. It is raised when a hook or an
  argument is removed or means another thing.
- The toolkit takes plugins made for `OLDEST_CONTRACT` to `CONTRACT_VERSION`; one made for another
  version is reported and left out.
- What is to be removed is deprecated first, for one release of the toolkit at least: plugins that
  use it work and cause a DeprecationWarning that says what to use instead (pluggy's `warn_on_impl`
  and `warn_on_impl_args`). The changelog names it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import Tensor

    from mcltoolkit.registry import Registry
    from mcltoolkit.structures import Prediction
    from mcltoolkit.visualization.report import Report

PROJECT = "mcltoolkit"
ENTRY_POINT_GROUP = "mcltoolkit.plugins"
CONTRACT_VERSION = 1
OLDEST_CONTRACT = 1

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_components(registries: Mapping[str, Registry]) -> None:
    """Register the plugin's components.

    Called once in every process, before the first component is looked up. Importing a module
    whose classes carry `@LOSSES.register_module()` is enough; so is
    `registries["losses"].register_module(module=MyLoss)`. A plugin registers all of its components
    or, if anything is wrong with one of them, none.

    Args:
        registries: every registry by its kind: `encoders`, `correspondences`, `generators`,
            `discriminators`, `losses`, `models`, `datasets`, `transforms`, `metrics`, `hooks`,
            `visualizers`, ... (`mcltoolkit.registry.REGISTRIES` lists them).
    """


@hookspec
def adjust_config(config: Config) -> None:
    """Change a config in place, once it is read and the command line's options are in it.

    A config is loaded, written to a file and loaded again (by an ablation's workers), so adjusting
    an adjusted config must change nothing. `mcltoolkit explain` says which settings come from the
    plugin. An error here is an error of the command: a config that is silently not adjusted would
    train something else.

    Args:
        config: the whole config. Its `plugins` have been loaded; changing them is too late.
    """


@hookspec
def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add subcommands to `mcltoolkit`.

    `commands.add_parser(NAME, help=...)` gives the command's parser, which gets its arguments and
    `set_defaults(run=function)`. `function(options)` runs the command; what it returns is the exit
    status, None for 0. An `mcltoolkit.errors.ToolkitError` ends the command with its message and
    status 2.

    Args:
        commands: argparse's action for subcommands.
    """


@hookspec
def add_report_sections(
    report: Report, predictions: Sequence[Prediction], metrics: Mapping[str, float]
) -> None:
    """Add sections to the end of a test's report; called on the main process.

    Args:
        report: `add_text`, `add_figure`, `add_panels`, `add_rows`, `add_facts`, ...
        predictions: the samples that the report shows.
        metrics: values over the whole test set, by name.
    """


@hookspec
def observe_step(step: int, losses: Mapping[str, Tensor], work_dir: Path) -> None:
    """Look at a training step that has just been done; called on every process.

    Args:
        step: training steps done, from 1.
        losses: weighted losses of this process's batch, detached, on the model's device:
            `loss_NAME` of each term, `loss` their sum, `loss_d_NAME` of the discriminator's.
            Reading one (`float`, `item`) waits for the accelerator and slows the training down if
            it is done at every step.
        work_dir: the run's folder. Processes share it: write from one (`mmengine.dist` knows the
            rank), or to a file each.
    """


@hookspec
def observe_evaluation(
    step: int, stage: Literal["val", "test"], metrics: Mapping[str, Any], work_dir: Path
) -> None:
    """Look at the metrics of an evaluation that has just been done; called on every process.

    Args:
        step: training steps that the network has had; 0 for an untrained one.
        stage: `val` for a validation during training, `test` for a test.
        metrics: values over the whole data set, by name; the same on all processes.
        work_dir: the run's folder.
    """
