"""The browser of the tests tells what a page does wrong."""

import pytest


def page(folder, body):
    file = folder / "page.html"
    file.write_text(f'<!DOCTYPE html><meta name="viewport" content="width=device-width">{body}')
    return file


def test_faults_of_a_page_are_seen(browser, tmp_path):
    bad = page(tmp_path, '<div style="width: 500px">wide</div><script>missing()</script>')
    browser.open(bad, 360, 640, phone=True)
    assert browser.run("return innerWidth") >= 360
    assert browser.overflow() > 100
    (error,) = browser.errors()
    assert "missing is not defined" in error
    assert browser.errors() == []
    good = page(tmp_path, '<p>narrow</p><img src="https://example.org/picture.png">')
    browser.open(good, 360, 640)
    assert browser.overflow() == 0
    assert "ERR_NAME_NOT_RESOLVED" in browser.until(browser.errors)[0]


def test_size_and_colours_are_those_asked_for(browser, tmp_path):
    file = page(tmp_path, "<p>text")
    browser.open(file, 360, 640, phone=True, dark=True)
    found = browser.run(
        "return [innerWidth, innerHeight, devicePixelRatio, 'ontouchstart' in window,"
        " matchMedia('(prefers-color-scheme: dark)').matches]"
    )
    assert found == [360, 640, 2, True, True]
    browser.open(file)
    assert browser.run("return [innerWidth, devicePixelRatio]") == [1200, 1]
    assert browser.screenshot(tmp_path / "page.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("needed", [False, True])
def test_a_machine_without_browser_skips_or_fails(needed, tmp_path, monkeypatch, load_helper):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MCLTOOLKIT_NEED_BROWSER", str(int(needed)))
    ending = pytest.fail.Exception if needed else pytest.skip.Exception
    with pytest.raises(ending, match="needs chromium and chromedriver"):  # noqa: SIM117
        with load_helper("browser").launched():
            pass
