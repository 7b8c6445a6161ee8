"""A hand-made chain of three configs whose answers are known, line by line."""

import pytest
from mmengine.config import Config

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.provenance import ABSENT, differences, leaves, settings_of, trace
from mcltoolkit.errors import ConfigError

GRANDPARENT = """\
classes = 7
plugins = []
work_dir = None
model = dict(
    type="Net",
    head=dict(kind="a", width=8),
    gone=dict(x=1, y=2),
    emptied=dict(x=1),
    switched=dict(on=True),
)
steps = [dict(type="Resize", size=4), dict(type="Flip")]
betas = (0.0, 0.9)
same = 1
empty = {}
"""
PARENT = """\
_base_ = "grandparent.py"

part = dict(width=16)
model = dict(
    head=part,
    gone=dict(_delete_=True, z=3),
    emptied=dict(_delete_=True),
    classes=_base_.classes,
    doubled=2 * _base_.classes,
)
same = 1
"""
CHILD = """\
_base_ = ["parent.py", "other.py"]
steps = [dict(type="Crop")]
model = dict(switched=None, head={"kind": "b"})
"""


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """The three files; paths are shown relative to their folder."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("grandparent", GRANDPARENT), ("parent", PARENT), ("child", CHILD)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "other.py").write_text("seed = 3\n")
    return tmp_path / "child.py"


def origins(config, options=None):
    return {s.key: str(s.origin) for s in settings_of(load_config(config, options), options)}


def test_each_setting_is_traced_to_the_file_and_line_that_wrote_it(chain):
    assert origins(chain) == {
        "classes": "grandparent.py:1",
        "plugins": "grandparent.py:2",
        "work_dir": "mcltoolkit",
        "model.type": "grandparent.py:5",
        "model.head.kind": "child.py:3",
        "model.head.width": "parent.py:3",
        "model.gone.z": "parent.py:6",
        "model.emptied": "parent.py:7",
        "model.switched": "child.py:3",
        "model.classes": "parent.py:8 = _base_.classes (grandparent.py)",
        "model.doubled": "parent.py:9",
        "steps.0.type": "child.py:2",
        "betas": "grandparent.py:12",
        "same": "parent.py:11",
        "empty": "grandparent.py:14",
        "part.width": "parent.py:3",
        "seed": "other.py:1",
        "default_scope": "mcltoolkit",
        "launcher": "mcltoolkit",
    }


def test_the_settings_are_the_config_itself(chain):
    config = load_config(chain)
    settings = {s.key: s.value for s in settings_of(config)}
    assert settings["model.gone.z"] == 3
    assert settings["model.doubled"] == 14
    assert settings["model.switched"] is None
    assert settings["betas"] == (0.0, 0.9)
    assert len(settings) == len(list(leaves(config._cfg_dict)))


def test_the_command_line_is_named(chain):
    options = {
        "model.head.width": 32,
        "steps.0.type": "Pad",
        "model.switched.on": False,  # switched off by the child
        "model.gone": None,
    }
    before, after = origins(chain), origins(chain, options)
    changed = {key for key in after if after[key] != before.get(key)}
    assert changed == {"model.head.width", "steps.0.type", "model.switched.on", "model.gone"}
    assert {after[key] for key in changed} == {"--cfg-options"}


def test_the_path_is_absolute_from_elsewhere(chain, root, monkeypatch):
    monkeypatch.chdir(root)
    shown = trace(chain)[("model", "gone", "z")]
    assert (shown.file, shown.line) == (str(chain.parent / "parent.py"), 6)


def test_yaml_is_followed_without_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.yaml").write_text("seed: 3\nlog: {level: 2, name: x}\n")
    (tmp_path / "child.yaml").write_text("_base_: base.yaml\nlog: {level: 5}\n")
    found = {key: str(origin) for key, origin in trace("child.yaml").items()}
    assert found == {
        ("seed",): "base.yaml",
        ("log", "name"): "base.yaml",
        ("log", "level"): "child.yaml",
    }


def test_a_template_that_cannot_be_followed_is_said(tmp_path):
    (tmp_path / "template.py").write_text("name = {{ fileBasename }}\n")
    with pytest.raises(ConfigError, match=r"template\.py cannot be followed: NameError"):
        trace(tmp_path / "template.py")


@pytest.mark.parametrize("name", ["mclnet_scenes", "ablations/ade20k_cocosnet_mcl"])
def test_every_setting_of_a_shipped_config_has_a_line(root, name):
    found = settings_of(load_config(root / "configs" / f"{name}.py"))
    unknown = [s.key for s in found if not s.origin.line]
    assert unknown == ["work_dir"]


def test_differences_name_both_values_and_what_is_absent():
    first = Config({"a": 1, "b": {"c": 2, "d": [1]}, "loss": {"type": "L"}, "gone": 0})
    second = Config({"a": 1, "b": {"c": 3, "d": [1]}, "loss": None, "new": 4})
    assert list(differences(first._cfg_dict, second._cfg_dict)) == [
        ("b.c", 2, 3),
        ("loss", {"type": "L"}, None),
        ("gone", 0, ABSENT),
        ("new", ABSENT, 4),
    ]
