"""Subcommands of `mcltoolkit`, the toolkit's own and those of plugins."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from mcltoolkit.errors import PluginError
from mcltoolkit.plugins import BUILTIN, implementations


class Commands(argparse._SubParsersAction):  # type: ignore[type-arg]
    """argparse's action for subcommands, which keeps a name from being taken twice and takes the
    commands of a plugin whole or not at all."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.owner = BUILTIN
        self.owners: dict[str, str] = {}

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """The parser of a new command.

        Raises:
            PluginError: the name is taken.
        """
        for wanted in (name, *settings.get("aliases", ())):
            if wanted in self.owners:
                raise PluginError(
                    f"the command {wanted!r} is there already, from {self.owners[wanted]}"
                )
        parser: argparse.ArgumentParser = super().add_parser(name, **settings)
        for wanted in (name, *settings.get("aliases", ())):
            self.owners[wanted] = self.owner
        return parser

    def add(self, owner: str, hook: Callable[..., Any]) -> None:
        """Add the commands of one owner.

        Args:
            owner: name of the plugin.
            hook: called with this object as `commands`.

        Raises:
            PluginError: a name that is taken, or a command that says not what it runs. As after
                any other error of the hook, none of the owner's commands is left.
        """
        before, listed, owners = dict(self.choices), list(self._choices_actions), dict(self.owners)
        self.owner = owner
        try:
            hook(commands=self)
            for name in self.choices.keys() - before.keys():
                _check_runs(name, self.choices[name])
        except (Exception, SystemExit):
            self.choices.clear()
            self.choices.update(before)
            self._choices_actions[:] = listed
            self.owners = owners
            raise


def _check_runs(name: str, parser: argparse.ArgumentParser) -> None:
    """A command says what it runs, or each of its own subcommands does."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in inner:
        for part, below in action.choices.items():
            _check_runs(f"{name} {part}", below)
    if not inner and not callable(parser.get_default("run")):
        raise PluginError(f"its command {name!r} has no set_defaults(run=FUNCTION)")


def add_plugin_commands(commands: Commands) -> None:
    """Add the commands of all plugins; one that cannot be is reported as a PluginWarning."""
    for plugin in implementations("add_commands"):
        try:
            commands.add(plugin.report.name, plugin.call)
        except (Exception, SystemExit) as error:
            plugin.warn(error)
