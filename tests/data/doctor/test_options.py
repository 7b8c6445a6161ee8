from __future__ import annotations

import argparse

import pytest

from mcltoolkit.data.doctor import add_options, check_options
from mcltoolkit.errors import ConfigError


def parsed(line):
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_args(line.split())
    check_options(options)
    return options


def test_a_folder_alone_is_enough():
    options = parsed("data/street")
    assert (options.root, options.preset, options.accept) == ("data/street", "small", [])
    assert options.exemplar_list == "exemplars_{split}.txt"
    assert parsed("data/street --exemplar-list refs.txt").exemplar_list == "refs.txt"
    assert options.workers >= 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "nothing to examine: give ROOT"),
        ("r --convert-labels out", "--convert-labels needs --palette"),
        ("--config c.py --config-out d.py", "give ROOT instead"),
        ("--config c.py --palette p.yaml", "give ROOT instead"),
        ("--config c.py --ignore-label 3", "--ignore-label is told by --palette or --config"),
        ("--config c.py --size 64", "--size is told by --config already.*change c.py"),
        ("--config c.py --preset small", "--preset is told by --config already"),
        ("--config c.py --exemplar-list l.txt", "--exemplar-list is told by --config already"),
        ("r --palette p.yaml --num-classes 3", "--num-classes is told by --palette or --config"),
    ],
)
def test_options_that_contradict_each_other(line, words):
    with pytest.raises(ConfigError, match=words):
        parsed(line)


@pytest.mark.parametrize("option", ["--config-out", "--palette-out"])
def test_files_that_are_changed_by_hand_stay(tmp_path, option):
    path = tmp_path / "mine"
    assert parsed(f"r {option} {path}").overwrite is False
    path.write_text("changed by hand")
    with pytest.raises(ConfigError, match=rf"mine exists; add --overwrite .*another {option}"):
        parsed(f"r {option} {path}")
    assert parsed(f"r {option} {path} --overwrite").overwrite
