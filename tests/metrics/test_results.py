import json
import math

import pytest

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.results import (
    Result,
    check_comparable,
    read_results,
    results_of,
    write_results,
)

FID = {"protocol": "fid-1", "samples": 5000, "weights_sha256": "ab", "layers": ["a", "b"]}


def test_a_file_gives_back_what_was_written(tmp_path):
    written = {"fid": Result(24.35, FID), "psnr": Result(math.inf, {}), "n": Result(3)}
    path = write_results(tmp_path / "new" / "metrics.json", written)
    assert read_results(path) == written
    content = json.loads(path.read_text())
    assert content["format"] == 1
    assert content["metrics"]["fid"] == {"value": 24.35, "passport": FID}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is no JSON"),
        ("[]", "has the format 'list'; allowed is 1"),
        ('{"psnr": 12.5}', "has the format None; allowed is 1"),
        ('{"format": 2, "metrics": {}}', "has the format 2"),
        ('{"format": 1}', "holds no metrics of the form"),
        ('{"format": 1, "metrics": {"psnr": 3}}', "holds no metrics of the form"),
        ('{"format": 1, "metrics": {"psnr": {"value": "x", "passport": {}}}}', "of the form"),
    ],
)
def test_other_files_are_explained(tmp_path, content, words):
    path = tmp_path / "metrics.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=words) as error:
        read_results(path)
    assert str(path) in str(error.value)
    assert "write it anew" in str(error.value)


@pytest.mark.parametrize(
    ("field", "other"),
    [("protocol", "fid-2"), ("samples", 50), ("weights_sha256", "cd"), ("layers", ["a"])],
)
def test_each_field_of_a_protocol_has_to_be_equal(field, other):
    runs = {"ours": {"fid": Result(1, FID)}, "theirs": {"fid": Result(2, {**FID, field: other})}}
    with pytest.raises(ConfigError) as error:
        check_comparable(runs)
    text = str(error.value)
    for word in ("fid", field, repr(FID[field]), repr(other), "ours", "theirs"):
        assert word in text


def test_a_field_that_one_passport_lacks_differs():
    less = {name: value for name, value in FID.items() if name != "samples"}
    with pytest.raises(ConfigError, match="samples is 5000 in a and 'not told' in b"):
        check_comparable({"a": {"fid": Result(1, FID)}, "b": {"fid": Result(2, less)}})


def test_the_third_run_is_compared_too():
    runs = {"a": {"x": Result(0)}, "b": {"fid": Result(1, FID)}, "c": {"fid": Result(1, {})}}
    with pytest.raises(ConfigError, match="in b and .* in c"):
        check_comparable(runs)


def test_same_protocols_compare_whatever_data_values_and_other_metrics():
    check_comparable(
        {
            "a": {"fid": Result(1, {**FID, "data": "one", "library": "1"}), "x": Result(1)},
            "b": {"fid": Result(9, {**FID, "data": "two", "layers": ("a", "b")})},
        }
    )


def test_passports_come_from_the_metrics_that_have_them():
    class Told:
        def passports(self):
            return {"fid": FID, "of an earlier evaluation": {}}

    found = results_of([object(), Told()], {"fid": 3, "mine": 4.5})
    assert found == {"fid": Result(3.0, FID), "mine": Result(4.5, {"protocol": "unknown"})}
