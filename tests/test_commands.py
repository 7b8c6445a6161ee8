import re

import pytest

from mcltoolkit.cli import main
from mcltoolkit.plugins import PluginWarning

GREET = """
    from mcltoolkit.errors import ConfigError

    def greet(options):
        if not options.name:
            raise ConfigError("no name given; give one")
        print("hello", options.name)
        return 3 if options.name == "three" else None

    @hookimpl
    def add_commands(commands):
        parser = commands.add_parser("greet", help="say hello")
        parser.add_argument("name")
        parser.set_defaults(run=greet)
"""


def ended(*words):
    try:
        main(list(words))
    except SystemExit as error:
        return error.code
    return 0


def test_a_plugins_command_runs(load_plugin, capsys):
    load_plugin("greeting", GREET)
    assert ended("greet", "you") == 0
    assert ended("greet", "three") == 3
    assert capsys.readouterr().out == "hello you\nhello three\n"
    assert ended("greet", "") == 2
    assert "ConfigError: no name given" in capsys.readouterr().err
    assert ended("--help") == 0
    assert re.search(r"greet +say hello", capsys.readouterr().out)
    assert ended("plugins") == 0
    assert re.search(r"functions +add_commands", capsys.readouterr().out)


def test_commands_with_commands_of_their_own(load_plugin, capsys):
    load_plugin(
        "lab",
        """
        @hookimpl
        def add_commands(commands):
            inner = commands.add_parser("lab").add_subparsers(dest="what")
            inner.add_parser("open").set_defaults(run=lambda options: print("open"))
        """,
    )
    assert ended("lab", "open") == 0
    assert capsys.readouterr().out == "open\n"
    assert ended("lab") == 2
    assert "lab needs one of its own commands" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("commands.add_parser('explain')", "the command 'explain' is there already, from mcltool"),
        ("commands.add_parser('more', aliases=['greet'])", "'greet' is there already, from first"),
        ("raise ValueError('no luck')", "its add_commands raised ValueError: no luck"),
        ("commands.add_parser('idle')", "its command 'idle' has no set_defaults"),
    ],
)
def test_one_that_cannot_be_added_is_reported_and_the_rest_works(
    load_plugin, capsys, recwarn, wrong, said
):
    load_plugin("first", GREET)
    file = load_plugin(
        "second",
        f"""
        @hookimpl
        def add_commands(commands):
            commands.add_parser("early").set_defaults(run=print)
            {wrong}
        """,
    )
    assert ended("greet", "you") == 0
    assert capsys.readouterr().out == "hello you\n"
    (warned,) = (w for w in recwarn if w.category is PluginWarning)
    line = str(warned.message)
    assert line.startswith(f"plugin 'second' (config, {file}")
    assert said in line
    assert "take it out of the config's `plugins`" in line
    assert ended("early") == 2, "no command of the plugin is left"
    assert ended("plugins") == 1
    printed = capsys.readouterr().out
    assert "FAILED: plugin 'second'" in printed
    assert said in printed
