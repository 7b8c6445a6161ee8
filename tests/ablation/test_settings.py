import pytest

from mcltoolkit.ablation.settings import (
    ABSENT,
    as_python,
    check_key,
    differences,
    effective,
    fingerprint,
    look_up,
    same,
    training_part,
    write_difference,
)
from mcltoolkit.engine.config import load_config
from mcltoolkit.errors import ConfigError


@pytest.fixture
def settings(tiny_config):
    return effective(load_config(tiny_config))


def test_helper_variables_and_circumstances_do_not_count(tiny_config):
    plain = effective(load_config(tiny_config))
    assert {"model", "train_dataloader", "randomness", "plugins", "custom_hooks"} <= set(plain)
    assert not {"encoder", "scenes", "num_classes", "work_dir", "launcher", "resume"} & set(plain)
    moved = load_config(tiny_config, {"encoder.base_width": 99}, work_dir="elsewhere")
    assert effective(moved) == plain


def test_the_training_does_not_see_the_test(settings):
    train = training_part(settings)
    assert set(settings) - set(train) == {"test_dataloader", "test_cfg", "test_evaluator"}


def test_fingerprints():
    one = {"a": 1, "b": {"c": (1, 2)}}
    assert fingerprint(one) == fingerprint({"b": {"c": [1, 2]}, "a": 1})
    others = [{"a": 2, "b": {"c": (1, 2)}}, {"a": 1, "b": {"c": (2, 1)}}, {"a": 1, "b": None}]
    assert len({fingerprint(other) for other in [one, *others]}) == 4
    assert len(fingerprint(one)) == 8


def test_looking_up():
    nested = {"a": {"b": [{"c": 5}, None]}, "n": None}
    assert look_up(nested, "a.b.0.c") == 5
    assert look_up(nested, "n") is None
    for key in ("a.x", "a.b.2", "a.b.x", "n.x", "a.b.0.c.d"):
        assert look_up(nested, key) is ABSENT


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [((1, 2), [1, 2], True), (1, 1.0, True), (True, 1, False), (None, ABSENT, False),
     ({"a": (1,)}, {"a": [1]}, True), ({"a": 1}, {"a": 1, "b": None}, False), ("1", 1, False),
     ([1], [1, 2], False), (0.5, 0.25, False), ({"a": True}, {"a": 1}, False)],
)  # fmt: skip
def test_same(one, other, equal):
    assert same(one, other) is equal


def test_differences_are_at_the_deepest_key():
    before = {"a": {"x": 1, "y": 2}, "t": {"type": "A", "w": 1.0}, "s": (1, 2), "gone": 1}
    after = {"a": {"x": 1, "y": 3}, "t": None, "s": [1, 2], "new": 2}
    found = differences(before, after)
    assert found == [
        ("a.y", 2, 3),
        ("t", {"type": "A", "w": 1.0}, None),
        ("gone", 1, ABSENT),
        ("new", ABSENT, 2),
    ]
    assert [write_difference(item) for item in found] == [
        "a.y: 2 -> 3",
        "t: A(w=1.0) -> None",
        "gone: 1 -> not set",
        "new: not set -> 2",
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.losses.mcl.margin", 0),
        ("model.losses.mcl.positions", 8),  # not in the config, but the loss takes it
        ("test_dataloader.dataset.exemplar", "self"),
        ("model.losses.per.weight", 1),  # switched off in the config
        ("model.losses.dark", {"type": "L1Loss"}),  # another named component
        ("custom_hooks.1.samples", 3),
    ],
)
def test_keys_that_mean_something(settings, tiny_config, key, value):
    after = effective(load_config(tiny_config, {key: value}))
    check_key(key, value, settings, after, "here")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model.losses.mcl.margn", 0, "model.losses.mcl has no setting 'margn'; did you mean 'mar"),
        ("model.loses.mcl", None, "here: model.loses.mcl: model has no setting 'loses'; did you"),
        ("model.losses.mc", None, "model.losses has no setting 'mc'; did you mean 'mcl'"),
        ("encoder.base_width", 8, "a run does not read 'encoder'"),
        ("train_cfg.max_iter", 8, "did you mean 'max_iters'"),
        ("train_cfg.max_iters.deep", 8, "train_cfg.max_iters has no setting 'deep'"),
    ],
)
def test_keys_that_mean_nothing(settings, key, value, words):
    with pytest.raises(ConfigError, match=words):
        check_key(key, value, settings, settings, "here")


def test_settings_as_a_config_file(settings, tmp_path):
    file = tmp_path / "config.py"
    file.write_text(as_python(settings))
    read = effective(load_config(file))
    assert fingerprint(read) == fingerprint(settings)
    assert read["train_dataloader"]["dataset"]["size"] == (32, 32)
    with pytest.raises(ConfigError, match="setting hooks holds a value that cannot be written"):
        as_python({"hooks": [object()]})
