"""The page of results: tables, curves, and what was not measured."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from benchmarks.page import facts, write_markdown, write_page
from benchmarks.plot import curves, series_of


def case(along, value, **further):
    return {
        "group": "parts",
        "series": {"title": "match", "along": along, "value": value},
        "rates": {"matrix_product": 100.0, "convolution": 130.0},
        "fast": {
            "median_seconds": value**2 / 1e4, "memory_mb": 1.0 * value, "share_of_rate": 0.5,
        },
        "plain": {"median_seconds": value**2 / 5e3, "memory_mb": value**2 / 10},
        "ratios": {"time": 0.5, "cpu_time": 0.51, "memory": 0.25},
        **further,
    }  # fmt: skip


@pytest.fixture
def results():
    cases = {f"match/{grid}": case("grid", grid) for grid in (32, 64, 128)}
    cases["match/256"] = case("grid", 256, plain={}, ratios={}, plain_left_out="needs 99 GB")
    cases["match/<512>"] = {"group": "parts", "error": "killed: <no memory>"}
    return {
        "machine": {"processor": "A & B", "cores": 2},
        "versions": {"torch": "2.9", "mcltoolkit": "0.1", "commit": "abc"},
        "settings": {"threads": 1, "device": "cpu", "dtype": "float32"},
        "cases": cases,
    }


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.rows, self.targets = [], [], []

    def handle_starttag(self, tag, attributes):
        self.targets += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1] += data


def test_the_page_has_every_case_and_loads_nothing(results):
    text = write_page(results)
    page = Page()
    page.feed(text)
    first = {row[0]: row for row in page.rows}
    assert first["match/64"][1:4] == ["0.50", "0.51", "0.25"]
    assert first["match/64"][4:] == ["410 ms", "819 ms", "64 MB", "410 MB", "50%"]
    assert first["match/256"][1:6] == ["", "", "", "6.55 s", ""]
    assert first["match/<512>"][1] == "not measured: killed: <no memory>"
    assert list(first)[1:4] == ["match/32", "match/64", "match/128"], "by size"
    assert all(target.startswith("#") for target in page.targets)
    assert "A &amp; B, 2 cores, 1 thread, float32; matrix products 130 to 130" in text


def test_curves_have_both_forms_over_their_places(results):
    (series,) = series_of(results, "parts")
    assert series.curves["fast", "seconds"] == {
        grid**2: grid**2 / 1e4 for grid in (32, 64, 128, 256)
    }
    assert list(series.curves["plain", "memory_mb"]) == [32**2, 64**2, 128**2]
    panels = list(curves([series]))
    assert [panel.title for panel in panels] == ["match: time", "match: extra memory"]
    for panel in panels:
        root = ElementTree.fromstring(panel.svg)
        assert root.tag.endswith("svg")
        lines = [
            element.get("d")
            for group in root.iter()
            if re.fullmatch(r"line2d_\d+", group.get("id", ""))
            for element in group
            if element.get("d", "").count("L") >= 2
        ]
        assert sorted(path.count("L") for path in lines) == [2, 3]


def test_a_single_place_is_no_curve(results):
    results["cases"] = {"match/32": results["cases"]["match/32"]}
    assert series_of(results, "parts") == []
    assert "<svg" not in write_page(results)


def test_the_same_tables_as_markdown(results):
    text = write_markdown(results)
    assert f"Measured on {facts(results)}.\n" in text
    assert "abc). Busy.\n" in write_markdown(results, "Busy.")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "| `match/64` | 0.50 | 0.51 | 0.25 |" in text
