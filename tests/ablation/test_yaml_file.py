import pytest

from mcltoolkit.ablation.yaml_file import read_yaml
from mcltoolkit.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("2.5E+3", 2500.0), (".5e1", 5.0), ("-3e2", -300.0), ("1e", "1e"),
     ("e4", "e4"), ("0.5", 0.5), ("7", 7), ("null", None), ("'1e-4'", "1e-4")],
)  # fmt: skip
def test_numbers_in_scientific_notation_are_numbers(tmp_path, text, value):
    (tmp_path / "a.yaml").write_text(f"key: {{deep: [{text}]}}")
    read = read_yaml(tmp_path / "a.yaml")["key"]["deep"][0]
    assert read == value
    assert type(read) is type(value)


def test_a_key_given_twice_is_an_error_with_both_lines(tmp_path):
    (tmp_path / "a.yaml").write_text("changes:\n  full: {}\n  other: {}\n  full: {x: 1}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml, line 4: 'full' is there already, in line 2"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [1", "is not YAML"), ("- 1\n- 2", "holds a list"), ("", "holds a NoneType"),
     ("? {a: 1}\n: 2", "is not YAML")],
)  # fmt: skip
def test_what_is_no_mapping_is_an_error(tmp_path, text, words):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"a\.yaml {words}"):
        read_yaml(tmp_path / "a.yaml")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        read_yaml(tmp_path / "none.yaml")
