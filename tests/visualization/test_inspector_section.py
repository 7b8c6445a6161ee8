"""The match inspector of a report, used in a real browser."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace

import pytest
import torch

from mcltoolkit.correspondence.match import CosineMatch
from mcltoolkit.visualization.inspector import place_of_pixel, seen_by, seen_from
from mcltoolkit.visualization.inspector_section import MOST, add_inspector
from mcltoolkit.visualization.report import Report

GRID, OTHER = (8, 12), (9, 6)


@pytest.fixture
def predictions(make_predictions):
    made = make_predictions(torch.arange(96).repeat(3, 1), GRID, (8, 12))

    def units(count):
        return torch.nn.functional.normalize(torch.randn(3, 8, count), dim=1)

    match = CosineMatch(units(96), units(54), GRID, OTHER, 0.1)
    for prediction in made:
        prediction.match = match
        prediction.exemplar = torch.rand(3, 36, 24) * 2 - 1
    return made


def page(predictions, path, **options):
    report = Report("Inspector")
    add_inspector(report, predictions, **options)
    return report.write(path)


@pytest.fixture
def opened(browser, predictions, tmp_path):
    def open_it(**options):
        browser.open(page(predictions, tmp_path / "page.html"), **options)
        browser.wait("return document.querySelector('.inspector').dataset.ready")
        return browser

    return open_it


def state(browser, number=0):
    return browser.run(
        "return {...document.querySelectorAll('.inspector')[arguments[0]].dataset, table: ''}",
        number,
    )


def point(browser, number, side, across, down):
    """Move the pointer to a share of the canvas; returns the pixel and the canvas's size."""
    box = browser.run(
        "const c = document.querySelectorAll('.inspector')[arguments[0]]"
        ".querySelectorAll('canvas')[arguments[1]]; c.scrollIntoView({block: 'center'});"
        "const b = c.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]",
        number, side,
    )  # fmt: skip
    x, y = box[0] + across * box[2], box[1] + down * box[3]
    browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    return (x - box[0], y - box[1]), (box[3], box[2])


def shown(place):
    return ",".join(map(str, place))


def test_pointing_shows_the_peak_that_python_finds(opened, predictions):
    browser = opened()
    for across, down in [(0.03, 0.02), (0.52, 0.49), (0.98, 0.97), (0.3, 0.8)]:
        pixel, size = point(browser, 0, 0, across, down)
        place = place_of_pixel(*pixel, size, GRID)
        told = state(browser)
        assert (told["side"], told["place"]) == ("output", shown(place))
        seen = seen_from(predictions[0], None, place)
        assert told["peak"] == shown(seen.peak)
        assert float(told["weight"]) == pytest.approx(seen.heat.max(), abs=0.005)
        pixel, size = point(browser, 0, 1, across, down)
        place = place_of_pixel(*pixel, size, OTHER)
        told = state(browser)
        assert (told["side"], told["place"]) == ("exemplar", shown(place))
        assert told["peak"] == shown(seen_by(predictions[0], None, place).peak)
    assert browser.errors() == []


def test_heat_and_ring_lie_where_the_peak_is(opened, predictions):
    browser = opened()
    point(browser, 0, 0, 0.52, 0.49)
    row, column = map(int, state(browser)["peak"].split(","))
    hottest = browser.run(
        "const c = document.querySelectorAll('.inspector canvas')[1];"
        "const at = (r, k) => c.getContext('2d').getImageData((k + .5) * c.width / 6,"
        " (r + .5) * c.height / 9, 1, 1).data;"
        "return [...Array(54).keys()].map(i => at(Math.floor(i / 6), i % 6)[3])"
    )
    heat = seen_from(predictions[0], None, (3, 6)).heat.ravel()
    strength = (heat / heat.max()) ** 0.5
    peak = row * 6 + column
    assert hottest[peak] == max(hottest)
    far = [i for i in range(54) if abs(i // 6 - row) > 1 or abs(i % 6 - column) > 1]
    for i in far:  # beside the ring
        assert hottest[i] == pytest.approx(255 * 0.9 * strength[i], abs=2)


def test_keys_move_the_place(opened, predictions):
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    assert state(browser)["place"] == "4,6"
    canvas = browser.find(".inspector canvas")
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP)
    told = state(browser)
    assert told["place"] == "3,7"
    assert told["peak"] == shown(seen_from(predictions[0], None, (3, 7)).peak)
    assert "row 3, column 7" in browser.find(".says").text
    canvas.send_keys(*[Keys.ARROW_LEFT] * 20)
    assert state(browser)["place"] == "3,0"


def test_a_finger_on_a_phone_does_the_same(opened, predictions):
    browser = opened(width=360, height=700, phone=True)
    assert browser.overflow() == 0
    box = browser.run(
        "const c = document.querySelectorAll('.inspector canvas')[1];"
        "c.scrollIntoView({block: 'center'});"
        "const b = c.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]"
    )
    assert box[2] > 120
    touch = [{"x": box[0] + 0.6 * box[2], "y": box[1] + 0.7 * box[3]}]
    browser.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=touch)
    browser.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    told = state(browser)
    assert (told["side"], told["place"]) == ("exemplar", "6,3")
    assert told["peak"] == shown(seen_by(predictions[0], None, (6, 3)).peak)
    assert browser.errors() == []


def test_another_sample_is_chosen_by_its_picture(opened, predictions):
    browser = opened()
    buttons = browser.driver.find_elements("css selector", ".choices button")
    assert [b.get_attribute("title") for b in buttons] == ["scene_0", "scene_1", "scene_2"]
    buttons[2].click()
    browser.wait("return document.querySelectorAll('.inspector')[2].dataset.ready")
    pixel, size = point(browser, 2, 0, 0.9, 0.1)
    place = place_of_pixel(*pixel, size, GRID)
    assert state(browser, 2)["peak"] == shown(seen_from(predictions[2], None, place).peak)
    assert not browser.driver.find_elements("css selector", ".inspector")[0].is_displayed()


def test_only_this_script_runs(browser, predictions, tmp_path):
    file = page(predictions, tmp_path / "page.html")
    file.write_text(file.read_text().replace("</main>", "</main><script>window.foreign=1</script>"))
    browser.open(file)
    browser.wait("return document.querySelector('.inspector').dataset.ready")
    assert browser.run("return window.foreign") is None
    (refused,) = browser.errors()
    assert "Content Security Policy" in refused


def test_all_samples_together_stay_within_the_budget(make_predictions, predictions, tmp_path):
    def blocks(samples, **options):
        html = page(samples, tmp_path / "page.html", **options).read_text()
        start, end = html.index('<div class="inspectors">'), html.index("</section>")
        return html[start:end], re.findall(r'data-block="(\d+)"', html)

    whole, finest = blocks(predictions)
    assert finest == ["1"] * 3
    assert "not to be inspected" not in (tmp_path / "page.html").read_text()
    budget = len(whole) - 5000
    less, coarser = blocks(predictions, budget=budget)
    assert len(less) <= budget
    assert len(coarser) == 3
    assert "2" in coarser
    assert "blocks of 2 x 2 places" in less
    tight, _ = blocks(predictions, budget=len(whole) // 2)
    assert len(tight) <= len(whole) // 2
    assert "not to be inspected: scene_" in (tmp_path / "page.html").read_text()
    many = make_predictions(torch.arange(24).repeat(MOST + 1, 1))
    assert len(blocks(many)[1]) == MOST
    html = page(predictions, tmp_path / "page.html", budget=100).read_text()
    assert "not to be inspected: scene_0, scene_1, scene_2" in html
    assert "<script" not in html


def test_a_browser_that_cannot_unpack_is_told(browser, predictions, tmp_path):
    file = page(predictions, tmp_path / "page.html")
    told = browser.command(
        "Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream"
    )
    try:
        browser.open(file)
        browser.wait("return document.querySelector('.inspector').dataset.failed")
        assert "no DecompressionStream" in browser.find(".says").text
        assert browser.errors() == []
    finally:
        browser.command("Page.removeScriptToEvaluateOnNewDocument", **told)


def test_a_match_that_is_no_number_is_told(predictions, tmp_path):
    predictions[0].match = SimpleNamespace(
        grid=GRID, exemplar_grid=OTHER, probabilities=lambda rows: torch.full((3, len(rows), 54),
                                                                              torch.nan)
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            "not a number: they count as 0" in page(predictions, tmp_path / "page.html").read_text()
        )


def test_without_samples_there_is_no_section_and_no_script():
    report = Report("Empty")
    add_inspector(report, [])
    assert "script" not in report.html()
