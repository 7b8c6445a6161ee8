"""The real page in a real browser: what a visitor does, step by step."""

import base64
import http.client
import io
import json
import re
import urllib.error
import urllib.request
import uuid

import numpy as np
import pytest
from PIL import Image
from skimage.segmentation import flood_fill

from mcltoolkit.inference import Exemplar, translate
from mcltoolkit.visualization.inspector import place_of_pixel, seen_by, seen_from
from mcltoolkit.web.examples import scene_examples
from mcltoolkit.web.limits import MOST_BYTES

Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
pytestmark = pytest.mark.integration

SIZE = (32, 32)
OTHER = 4
READ = """
const [selector, done] = arguments;
fetch(document.querySelector(selector).href).then((answer) => answer.blob()).then((blob) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result);
  reader.readAsDataURL(blob);
});"""
FOREIGN = """
return performance.getEntriesByType("resource").map((entry) => entry.name)
  .filter((name) => !name.startsWith(location.origin) && !/^(data|blob):/.test(name));"""


class Visitor:
    """What somebody does with the page."""

    def __init__(self, browser, url, **options):
        self.browser = browser.open(url, **options)
        browser.wait("return document.querySelector('#exemplar img:not([hidden])')")

    def click(self, selector):
        self.browser.find(selector).click()

    def at(self, selector, places, press=True):
        """Real pointer events at places (x, y), shares of the element's width and height."""
        from selenium.webdriver import ActionChains

        element = self.browser.find(selector)
        self.browser.run("arguments[0].scrollIntoView({block: 'center'})", element)
        box = element.rect
        chain = ActionChains(self.browser.driver, duration=20)
        for number, (x, y) in enumerate(places):
            chain.move_to_element_with_offset(
                element, round((x - 0.5) * box["width"]), round((y - 0.5) * box["height"])
            )
            if number == 0:
                chain.click_and_hold()
        chain.release().perform()

    def file(self, selector):
        """The picture behind a download link."""
        uri = self.browser.driver.execute_async_script(READ, selector)
        return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))

    def translate(self):
        """Press the button and wait for a new picture; gives label map and output."""
        before = self.browser.run("return document.querySelector('#output a')?.href ?? ''")
        self.click("#translate")
        self.browser.wait(
            f"const a = document.querySelector('#output a'); return a && a.href !== {before!r}"
            " && document.querySelector('#used a')"
        )
        return self.file("#used a"), self.file("#output a")

    def upload(self, label, file):
        selector = f"[data-testid='{label}-upload-button']"
        self.browser.driver.find_element("css selector", selector).send_keys(str(file))

    def message(self, part):
        """Wait for a message that has these words, and close it."""
        said = self.browser.wait(
            "const said = document.querySelector('.toast-wrap')?.innerText ?? '';"
            f"return said.includes({json.dumps(part)}) && said"
        )
        self.browser.run("document.querySelectorAll('.toast-close').forEach((e) => e.click())")
        self.browser.wait("return !document.querySelector('.toast-body')")
        return said

    def line(self, part):
        return self.browser.wait(
            "const said = document.querySelector('#line').innerText;"
            f"return said.includes({json.dumps(part)}) && said"
        )

    def shown(self, selector):
        """The pixels that an image shows."""
        uri = self.browser.run(f"return document.querySelector('{selector} img').src")
        return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def near(left, right):
    """Equal but for rounding, which another number of threads can change."""
    assert left.shape == right.shape
    return np.abs(left.astype(int) - right.astype(int)).max() <= 1


def test_draw_translate_and_look_into_the_match(browser, page_url, model):
    """The model compares the exemplar's label map too, which the examples bring along."""
    conditions, exemplars = scene_examples(model, SIZE)
    visitor = Visitor(browser, page_url, width=1280, height=900)
    names = browser.run(
        "return [...document.querySelectorAll('#condition .class')].map((e) => e.innerText)"
    )
    assert names == list(model.classes)

    first, output = visitor.translate()
    np.testing.assert_array_equal(first, conditions[0].condition)
    exemplar = Exemplar(exemplars[0].picture, exemplars[0].condition)
    assert near(output, translate(first, exemplar, model).array)

    visitor.click("#condition .class:nth-child(6)")
    visitor.at("#condition canvas", [(0.2, 0.3), (0.5, 0.5), (0.8, 0.3)])
    drawn, other = visitor.translate()
    changed = drawn != first
    assert 20 < changed.sum() < 300
    assert set(drawn[changed]) == {5}
    for x, y in [(0.2, 0.3), (0.35, 0.4), (0.5, 0.5), (0.8, 0.3)]:
        assert drawn[int(y * 32), int(x * 32)] == 5, "the stroke is where the pointer was"
    assert (other != output).any()
    result = translate(drawn, exemplar, model)
    assert near(other, result.array)
    assert near(visitor.shown("#warped"), result.warped_array)

    visitor.at("#output img", [(0.3, 0.7)])
    said = visitor.line("Output at")
    x, y = map(int, re.findall(r"Output at x (\d+), y (\d+)", said)[0])
    assert abs(x - 0.3 * 32) <= 1
    assert abs(y - 0.7 * 32) <= 1
    match = result.prediction.match
    seen = seen_from(result.prediction, None, place_of_pixel(x, y, SIZE, match.grid))
    cell = 32 / match.exemplar_grid[0]
    row, column = seen.peak
    assert f"x {int((column + 0.5) * cell)}, y {int((row + 0.5) * cell)}, with" in said
    heat = visitor.shown("#source")
    assert heat.shape[0] > 400, "enlarged for a clear mark"
    assert browser.run("return !document.querySelector('#output .mark').hidden")

    visitor.at("#source img", [(0.6, 0.4)])
    said = visitor.line("Exemplar at")
    x, y = map(int, re.findall(r"Exemplar at x (\d+), y (\d+)", said)[0])
    seen = seen_by(result.prediction, None, place_of_pixel(x, y, SIZE, match.exemplar_grid))
    cell = 32 / match.grid[0]
    row, column = seen.peak
    assert f"x {int((column + 0.5) * cell)}, y {int((row + 0.5) * cell)}." in said
    np.testing.assert_array_equal(visitor.file("#output a"), other)
    browser.find("#source .stage").send_keys(Keys.ARROW_RIGHT)
    visitor.line(f"Exemplar at x {x + 1}, y {y}")

    visitor.click("#condition .undo")
    again, _ = visitor.translate()
    np.testing.assert_array_equal(again, first)
    assert browser.run(FOREIGN) == []
    assert browser.errors() == []
    assert browser.overflow() == 0


def test_blank_fill_examples_and_uploads(browser, page_url, model, tmp_path):
    conditions, exemplars = scene_examples(model, SIZE)
    visitor = Visitor(browser, page_url)
    visitor.click("#condition .class:nth-child(3)")
    visitor.click("#condition .blank")
    visitor.click("#exemplars button:nth-child(4)")
    shown = exemplars[3].picture
    browser.until(lambda: np.array_equal(visitor.shown("#exemplar"), shown), what="the exemplar")
    exemplar = Exemplar(shown, exemplars[3].condition)
    labels, output = visitor.translate()
    np.testing.assert_array_equal(labels, np.full(SIZE, 2))
    assert near(output, translate(labels, exemplar, model).array)

    ours = conditions[1].condition.astype(np.uint8)
    painted = np.array(model.palette, np.uint8)[ours]
    Image.fromarray(painted).save(tmp_path / "painted.png")
    visitor.upload("Upload a label map", tmp_path / "painted.png")
    first = (
        "document.querySelector('#condition canvas').getContext('2d').getImageData(0, 0, 32, 32)"
    )
    browser.until(
        lambda: (
            browser.run(f"return [...{first}.data]")
            == np.dstack([painted, np.full(SIZE, 255)]).ravel().tolist()
        ),
        what="the uploaded label map",
    )
    visitor.click("#condition .fill")
    visitor.click(f"#condition .class:nth-child({OTHER + 1})")
    visitor.at("#condition canvas", [(0.51, 0.51)])
    labels, _ = visitor.translate()
    filled = flood_fill(ours, (16, 16), OTHER, connectivity=1)
    assert 20 < (filled != ours).sum() < 900
    np.testing.assert_array_equal(labels, filled)

    (tmp_path / "huge.png").write_bytes(bytes(MOST_BYTES + 1))
    visitor.upload("Upload a photo", tmp_path / "huge.png")
    visitor.message("exceed the maximum allowed size of 16.0 Mb")
    (tmp_path / "text.png").write_text("no picture")
    visitor.upload("Upload a photo", tmp_path / "text.png")
    visitor.message("Photo text.png cannot be read as a picture")
    Image.fromarray(np.full((20, 20, 3), 255, np.uint8)).save(tmp_path / "white.png")
    visitor.upload("Upload a label map", tmp_path / "white.png")
    said = visitor.message("near no class's colour")
    assert "Traceback" not in said
    assert browser.run(FOREIGN) == []
    assert browser.errors() == []


def test_phone(browser, page_url):
    visitor = Visitor(browser, page_url, width=390, height=844, phone=True)
    assert browser.overflow() == 0
    before, _ = visitor.translate()
    browser.run("document.querySelector('#condition canvas').scrollIntoView({block: 'center'})")
    box = browser.run(
        "const b = document.querySelector('#condition canvas').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]"
    )
    assert box[2] > 300, "large enough for a finger"
    visitor.click("#condition .class:nth-child(2)")
    browser.run("document.querySelector('#condition canvas').scrollIntoView({block: 'center'})")
    left, top, width, height = browser.run(
        "const b = document.querySelector('#condition canvas').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]"
    )
    scrolled = browser.run("return scrollY")
    for kind, share in (
        ("touchStart", 0.2),
        ("touchMove", 0.5),
        ("touchMove", 0.8),
        ("touchEnd", None),
    ):
        points = [] if share is None else [{"x": left + share * width, "y": top + share * height}]
        browser.command("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    assert browser.run("return scrollY") == scrolled, "a finger on the canvas paints"
    after, _ = visitor.translate()
    assert set(after[after != before]) == {1}
    assert after[16, 16] == 1
    assert browser.overflow() == 0
    small = browser.run("""
        return [...document.querySelectorAll("button, a")]
          .filter((element) => element.offsetParent)
          .map((element) => [element.outerHTML, element.getBoundingClientRect()])
          .filter(([, box]) => box.height < 36 || box.left < 0 || box.right > innerWidth)
          .map(([text, box]) => `${box.height} ${text}`);""")
    assert small == [], "every control can be reached and hit"
    assert browser.errors() == []


def test_visitors_share_nothing_but_the_model(browser, page_url, model):
    _, exemplars = scene_examples(model, SIZE)
    visitor = Visitor(browser, page_url)
    _, output = visitor.translate()
    own = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    try:
        other = Visitor(browser, page_url)
        other.click("#exemplars button:nth-child(5)")
        shown = exemplars[4].picture
        browser.until(lambda: np.array_equal(other.shown("#exemplar"), shown), what="the exemplar")
        assert not near(other.translate()[1], output)
    finally:
        browser.driver.close()
        browser.driver.switch_to.window(own)
    np.testing.assert_array_equal(visitor.shown("#source"), exemplars[0].picture)
    visitor.at("#source img", [(0.5, 0.5)])
    visitor.line("Exemplar at")
    np.testing.assert_array_equal(visitor.file("#output a"), output)
    assert near(visitor.translate()[1], output)
    assert browser.errors() == []


def test_a_page_that_is_forgotten_says_so(browser, page_url, model):
    """The server remembers 16 visitors; the browser keeps the page open for as long as it likes."""
    from mcltoolkit.web.serve import SESSIONS

    _, exemplars = scene_examples(model, SIZE)
    visitor = Visitor(browser, page_url)
    visitor.click("#exemplars button:nth-child(3)")
    shown = exemplars[2].picture
    browser.until(lambda: np.array_equal(visitor.shown("#exemplar"), shown), what="the exemplar")
    _, output = visitor.translate()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    config = json.loads(opener.open(f"{page_url}/config").read())
    load = next(d["id"] for d in config["dependencies"] if d["targets"][0][1] == "load")
    for number in range(SESSIONS):
        visit = {"data": [], "fn_index": load, "session_hash": f"other{number}"}
        request = urllib.request.Request(
            f"{page_url}/gradio_api/queue/join", json.dumps(visit).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        assert opener.open(request).status == 200
        answer = opener.open(f"{page_url}/gradio_api/queue/data?session_hash=other{number}")
        assert any(b"process_completed" in line for line in answer)
    visitor.click("#translate")
    visitor.message("its exemplar is no longer remembered")
    visitor.at("#output img", [(0.3, 0.7)])
    visitor.message("its translation is no longer remembered")
    visitor.click("#exemplars button:nth-child(4)")
    shown = exemplars[3].picture
    browser.until(lambda: np.array_equal(visitor.shown("#exemplar"), shown), what="the exemplar")
    labels, other = visitor.translate()
    exemplar = Exemplar(shown, exemplars[3].condition)
    assert near(other, translate(labels, exemplar, model).array)
    assert not near(other, output)
    assert browser.errors() == []


def test_a_map_that_arrives_during_a_stroke_ends_it(browser, page_url, tmp_path):
    visitor = Visitor(browser, page_url)
    browser.run("""
        const canvas = document.querySelector("#condition canvas");
        canvas.setPointerCapture = () => {};
        const box = canvas.getBoundingClientRect();
        window.point = (kind, x, y) => canvas.dispatchEvent(new PointerEvent(kind, {
          bubbles: true, button: 0, pointerId: 1,
          clientX: box.left + x * box.width, clientY: box.top + y * box.height,
        }));
        point("pointerdown", 0.3, 0.3);
        point("pointermove", 0.5, 0.5);""")
    labels = np.random.default_rng(0).integers(6, size=(20, 40)).astype(np.uint8)
    Image.fromarray(labels).save(tmp_path / "wide.png")
    visitor.upload("Upload a label map", tmp_path / "wide.png")
    browser.wait("return document.querySelector('#condition canvas').width === 40")
    browser.run("point('pointerup', 0.5, 0.5)")
    assert browser.run("return document.querySelector('#condition .undo').disabled")
    np.testing.assert_array_equal(visitor.translate()[0], labels)
    assert browser.errors() == []


def test_the_server_bounds_uploads_and_has_no_further_doors(page_url):
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'

    def upload(size):
        body = head.encode() + bytes(size) + f"\r\n--{boundary}--\r\n".encode()
        request = urllib.request.Request(
            f"{page_url}/gradio_api/upload", body,
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )  # fmt: skip
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)

    assert upload(1000).status == 200
    with pytest.raises(urllib.error.HTTPError) as caught:
        upload(MOST_BYTES + 1)
    assert caught.value.code == 413
    for door in ("docs", "redoc", "openapi.json", "monitoring/summary", "gradio_api/mcp/sse"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{page_url}/{door}")
        assert caught.value.code in (403, 404, 405), door


def test_the_server_bounds_whole_requests(page_url):
    """Two files that are allowed one by one, and a canvas of many megabytes."""
    from mcltoolkit.web.serve import EXTRA_BYTES

    host = page_url.removeprefix("http://")
    most = MOST_BYTES + EXTRA_BYTES
    kinds = {"upload": "multipart/form-data; boundary=x", "queue/join": "application/json"}
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%d.png"\r\n\r\n'
    half = bytes(most // 2)
    files = [part % 1, half, b"\r\n", part % 2, half, b"\r\n--x--\r\n"]
    for door, parts in (("upload", files), ("queue/join", [b'{"data": ["', half, half, b'"]}'])):
        stated = http.client.HTTPConnection(host, timeout=60)
        stated.putrequest("POST", f"/gradio_api/{door}")
        stated.putheader("Content-Type", kinds[door])
        stated.putheader("Content-Length", str(most + 1))
        stated.endheaders()
        assert stated.getresponse().status == 413, "before anything was sent"
        chunked = http.client.HTTPConnection(host, timeout=60)
        chunked.request(
            "POST", f"/gradio_api/{door}", iter(parts), {"Content-Type": kinds[door]},
            encode_chunked=True,
        )  # fmt: skip
        assert chunked.getresponse().status == 413, door


def test_no_action_runs_past_the_queue(page_url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    config = json.loads(opener.open(f"{page_url}/config").read())
    for action in config["dependencies"]:
        body = {"data": [None] * len(action["inputs"]), "fn_index": action["id"]}
        request = urllib.request.Request(
            f"{page_url}/gradio_api/run/{action['api_name']}",
            json.dumps({**body, "session_hash": "direct"}).encode(),
            {"Content-Type": "application/json"},
        )
        if not action["queue"]:
            continue
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(request)
        assert caught.value.code == 404, action
    names = [action["api_name"] for action in config["dependencies"] if action["queue"]]
    assert {"translate", "look_from", "load_exemplar"} <= set(names)


def test_the_exemplars_label_map_is_asked_for_and_drawn(browser, page_url, model, tmp_path):
    photo = np.random.default_rng(0).integers(256, size=(48, 48, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    visitor = Visitor(browser, page_url)
    assert not browser.run("return document.querySelector('#theirs canvas')?.offsetParent")
    visitor.upload("Upload a photo", tmp_path / "photo.png")
    browser.wait("return document.querySelector('#theirs canvas')?.offsetParent")
    visitor.click("#translate")
    visitor.message("This model compares the exemplar's label map too (mask_mix)")
    visitor.click("#theirs .class:nth-child(4)")
    visitor.click("#theirs .blank")
    labels, blank = visitor.translate()
    theirs = np.full((32, 32), 3)
    assert near(blank, translate(labels, Exemplar(photo, theirs), model).array)
    visitor.click("#theirs .class:nth-child(2)")
    visitor.at("#theirs canvas", [(0.25, 0.5), (0.75, 0.5)])
    _, drawn = visitor.translate()
    assert not near(drawn, blank), "the stroke counts"
    assert browser.errors() == []
