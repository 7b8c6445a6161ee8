from __future__ import annotations

import math

import pytest

from mcltoolkit.visualization.glossary import METRICS, headline, meaning, write_number


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (23.4567, "dB", "23.46 dB"),
        (8.1, "dB", "8.10 dB"),
        (0.923149, "", "0.9231"),
        (12345.6, "", "12346"),
        (0.000123456, "", "0.0001235"),
        (1.5e-7, "", "1.500e-07"),
        (0.0, "", "0.000"),
        (-3.25, "", "-3.250"),
        (1500, "", "1500"),
        (412.34, "s", "412.3 s (6 min 52 s)"),
        (59.0, "s", "59.00 s"),
        (math.nan, "dB", "not finite"),
        (None, "", "not measured"),
        (True, "", "yes"),
        ("cpu", "", "cpu"),
    ],
)
def test_numbers(value: object, unit: str, text: str) -> None:
    assert write_number(value, unit) == text


def test_meaning_of_known_baseline_and_unknown_names() -> None:
    assert meaning("val/psnr") == meaning("psnr")
    assert meaning("psnr_copy_exemplar").title == "PSNR if the exemplar is copied"
    assert meaning("psnr_copy_exemplar").unit == "dB"
    assert meaning("val/pck@0.05").title == "Share of right matches (within 0.05)"
    assert meaning("pck@0.1_untrained").title.startswith("Share of right matches (within 0.1) of")
    assert meaning("score@7").words == ""
    assert meaning("my_own_score").title == "my own score"
    assert meaning("my_own_score").words == ""


def test_headline_gains() -> None:
    tiles = headline({"psnr": 22.0, "psnr_copy_exemplar": 10.5, "psnr_untrained": 23.0, "x": 1})
    assert [tile[0] for tile in tiles] == ["22.00 dB", "+11.50 dB", "-1.00 dB"]
    assert headline({"psnr": math.nan, "psnr_untrained": 3.0}) == []


def test_the_better_end_is_the_one_that_the_words_name():
    for name, known in METRICS.items():
        if "Lower is better" in known.words or "0 is perfect" in known.words:
            assert known.better == "lower", name
        elif any(end in known.words for end in ("Higher is", "1 is perfect", "1 is equal")):
            assert known.better == "higher", name
        else:
            assert known.better == "", name
    assert {known.better for known in METRICS.values()} == {"higher", "lower", ""}


def test_what_a_value_behind_the_name_is():
    assert meaning("pck@0.1").title == "Share of right matches (within 0.1)"
    assert meaning("swd@64").title == "Sliced Wasserstein distance (64 pixels wide)"
