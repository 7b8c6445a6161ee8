from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.visualization.report import Bar, Report

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps text, addresses and embedded images."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.styles: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.addresses += [v or "" for n, v in attrs if n in ("src", "href", "srcset", "action")]
        self.styles += [v or "" for n, v in attrs if n == "style"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
        else:
            self.text += data + " "

    def images(self) -> list[bytes]:
        return [base64.b64decode(a.split(",", 1)[1], validate=True) for a in self.addresses]


def full_report() -> Report:
    nasty = "<script>alert('x')</script> & \"quotes\""
    report = Report(nasty)
    picture = np.zeros((8, 8, 3), np.uint8)
    report.add_lead(nasty)
    report.add_tiles([("1.25 dB", nasty, nasty)])
    report.add_text(f"one {nasty}\n\ntwo", nasty)
    report.add_metrics_table({nasty: 1.5, "psnr": 23.4567, "steps": 1234567}, {"psnr": nasty})
    report.add_figure(nasty, picture, nasty)
    report.add_panels(nasty, [(nasty, b"<svg xmlns='http://www.w3.org/2000/svg'/>")], nasty)
    report.add_rows(nasty, [[picture, None, picture]], [nasty, "b", "c"], [nasty], nasty)
    report.add_legend(nasty, [(255, 0, 16)], [nasty])
    report.add_facts(nasty, {nasty: nasty, "config": f"a\n{nasty}", "seconds": 12})
    return report


def test_page_nests_is_escaped_and_embeds_everything() -> None:
    page = Page(full_report().html())
    assert "script" not in page.tags
    assert page.text.count("<script>alert('x')</script>") >= 18
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert [image[:4] for image in page.images()].count(b"\x89PNG") == 3
    assert "background:#ff0010" in page.styles
    for number in ("1.25 dB", "1.500", "23.46 dB", "1234567", "12"):
        assert number in page.text
    assert "http" not in Page(Report("plain").html()).text


def test_pictures_are_embedded_without_loss() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    report = Report("t")
    report.add_figure("f", picture)
    (content,) = Page(report.html()).images()
    assert (np.asarray(Image.open(io.BytesIO(content))) == picture).all()


def test_write_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "out" / "report.html"
    Report("old").write(path)
    full_report().write(path)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8") == full_report().html()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ConfigError, match=r"report\.html.*No space left"):
        Report("new").write(path)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.read_text(encoding="utf-8") == full_report().html()


def test_missing_captions_and_colours_are_reported() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(DataError, match="2 pictures, but 1"):
        Report("t").add_rows("r", [[picture, picture]], ["a"])
    with pytest.raises(DataError, match="2 classes.*1 colours"):
        Report("t").add_legend("l", [(0, 0, 0)], ["a", "b"])


def test_passports_can_be_unfolded_beside_their_value() -> None:
    report = Report("x")
    passports = {"psnr": {"protocol": "psnr-1", "value_range": "0..1 <x>", "samples": 64}}
    report.add_metrics_table({"psnr": 20.0, "ssim": 0.5}, passports=passports)
    psnr, ssim = report.html().split("<tr>")[1:]
    assert "<dt>protocol</dt><dd>psnr-1</dd>" in psnr
    assert "<dt>value range</dt><dd>0..1 &lt;x&gt;</dd>" in psnr
    assert "<dt>samples</dt><dd>64</dd>" in psnr
    assert "details" not in ssim


def test_bars_beyond_the_first_are_folded() -> None:
    report = Report("x")
    bars = [Bar(f"class <{n}>", n / 10, (n, 0, 255), f"IoU {n}") for n in range(5)]
    report.add_bars("Bars", bars, shown=3)
    shown, folded = report.html().split("<details><summary>2 more</summary>")
    assert shown.count('class="bar"') == 3
    assert folded.count('class="bar"') == 2
    assert "class &lt;4&gt;" in folded
    assert "width:20.0%;background:#0200ff" in shown


def test_the_policy_names_each_script_once() -> None:
    report, other = Report("x"), Report("y")
    other.add_script("let a = 1;")
    report.add_script("let a = 1;")
    report.extend(other)
    html = report.html()
    assert html.count("<script>let a = 1;</script>") == 1
    assert html.count("'sha256-") == 1
    assert "script-src" not in Report("z").html()
