"""Comparisons of tests, of folders as a test leaves them."""

import re

import pytest
import torch

from mcltoolkit.cli import main
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.metrics.results import Result, write_results
from mcltoolkit.visualization.comparison import (
    best_runs,
    comparison_report,
    config_differences,
    read_tests,
)
from mcltoolkit.visualization.extremes import Shown
from mcltoolkit.visualization.record import write_record
from mcltoolkit.visualization.scalars import Series


@pytest.fixture
def make_test(make_predictions, tmp_path):
    def make(name, values, samples=("scene_0", "scene_1"), config=None, window=11, indices=()):
        torch.manual_seed(len(name))
        folder = tmp_path / name / "test"
        passports = {"psnr": {"protocol": "psnr-1"}, "ssim": {"protocol": "s-1", "window": window}}
        results = {n: Result(v, passports.get(n, {"protocol": n})) for n, v in values.items()}
        write_results(folder / "metrics.json", results)
        predictions = make_predictions(torch.arange(24).repeat(len(samples), 1))
        for prediction, sample in zip(predictions, samples, strict=True):
            prediction.name = sample
            prediction.fake = torch.rand_like(prediction.fake)
        places = indices or [None] * len(samples)
        shown = [
            Shown(p, {"psnr": values["psnr"]}, index=i)
            for p, i in zip(predictions, places, strict=True)
        ]
        curves = {"loss": Series([1, 2, 3], [3.0, 2.0, values["psnr"]]), name: Series([1], [1.0])}
        write_record(folder / "record", shown, None, None, curves, config or {})
        return tmp_path / name

    return make


def test_a_page_of_two_runs(make_test, tmp_path, browser):
    config = {"model": {"hidden": 8, "losses": {"mcl": {"weight": 1}}}, "work_dir": "a"}
    other = {"model": {"hidden": 16, "losses": {"mcl": None}}, "work_dir": "b"}
    one = make_test("plain", {"psnr": 20.0, "ssim": 0.5, "l1": 0.2}, config=config)
    two = make_test(
        "wide<r>", {"psnr": 21.5, "ssim": 0.5, "l1": 0.1, "fid": 3.0}, ("scene_1", "x"), other
    )
    path = comparison_report(read_tests([one, two / "test"]), tmp_path / "compare.html")
    html = path.read_text()
    best = re.findall(r'<td class="value best"[^>]*>([^<]*)</td>', html)
    assert best == ["21.50 dB", "0.1000"]
    assert "not measured" in html
    assert "wide&lt;r&gt;" in html
    rows = re.findall(r'<th scope="row">([^<]*)</th><td class="set">(.*?)</td>.*?>(.*?)</td>', html)
    assert rows == [("model.hidden", "8", "16"),
                    ("model.losses.mcl", "{&quot;weight&quot;: 1}", "null")]  # fmt: skip
    pictures = html[html.index("The same samples") : html.index("<h2>Curves")]
    assert re.findall(r"<h3>(.*?)</h3>", pictures) == ["scene_1"]
    assert pictures.count("data:image/png") == 3 + 2 * 2
    assert "output: plain, PSNR 20.00 dB" in pictures
    curves = html[html.index("<h2>Curves") : html.index("<h2>Config")]
    assert re.findall(r"<h3>(.*?)</h3>", curves) == ["loss"]
    browser.open(path, 360, 700, phone=True)
    assert browser.overflow() == 0
    assert browser.errors() == []


def test_values_of_other_protocols_are_refused(make_test, tmp_path):
    one = make_test("one", {"psnr": 20.0, "ssim": 0.5})
    two = make_test("two", {"psnr": 21.0, "ssim": 0.6}, window=7)
    with pytest.raises(ConfigError, match="ssim.* window is 11 in one and 7 in two"):
        comparison_report(read_tests([one, two]), tmp_path / "compare.html")
    assert not (tmp_path / "compare.html").exists()
    page = tmp_path / "compare.html"
    main(["report", str(one), str(two), "--out", str(page), "--without", "ssim"])
    assert "20.00 dB" in page.read_text()
    assert "SSIM" not in page.read_text()
    with pytest.raises(ConfigError, match="--without ssi: .* did you mean 'ssim'"):
        comparison_report(read_tests([one, two]), page, without=["ssi"])
    with pytest.raises(ConfigError, match="samples is 0"):
        comparison_report(read_tests([one, two]), page, 0, without=["ssim"])


def test_samples_of_one_name_are_told_apart_by_their_index(make_test, tmp_path):
    twins = ("twin", "twin")
    one = make_test("one", {"psnr": 20.0}, twins, indices=(0, 1))
    two = make_test("two", {"psnr": 21.0}, twins, indices=(0, 1))
    page = tmp_path / "compare.html"
    comparison_report(read_tests([one, two]), page)
    assert page.read_text().count('class="row"') == 2
    three = make_test("three", {"psnr": 21.0}, twins, indices=(0, 5))
    comparison_report(read_tests([one, three]), page)
    assert page.read_text().count('class="row"') == 1


def test_what_cannot_be_compared_says_what_to_do(make_test, tmp_path):
    one = make_test("one", {"psnr": 20.0})
    for folders, words in (
        ([one], "two or more"),
        ([one, one / "test"], "two or more different"),
        ([one, tmp_path / "none"], "none does not exist; run `python tools/test.py"),
        ([one, tmp_path], "holds no test: not there are .*metrics.json"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_tests(folders)
    two = make_test("two", {"psnr": 21.0})
    (two / "test" / "record" / "000_output.png").unlink()
    with pytest.raises(DataError, match="000_output.png.*test the checkpoint again"):
        comparison_report(read_tests([one, two]), tmp_path / "compare.html")


def test_runs_without_a_common_sample_are_told(make_test, tmp_path):
    one = make_test("one", {"psnr": 20.0})
    two = make_test("two", {"psnr": 21.0}, ("a", "b"))
    html = comparison_report(read_tests([one, two]), tmp_path / "compare.html").read_text()
    assert "no sample in common" in html
    assert "value best" not in html, "values of different data have no winner"
    three = make_test("three", {"psnr": 21.0})
    html = comparison_report(read_tests([one, three]), tmp_path / "compare.html").read_text()
    assert html.count("value best") == 1
    assert "The configs are the same" in html


def test_differences_of_three_configs(make_test):
    folders = [
        make_test(name, {"psnr": 1.0}, config=config)
        for name, config in (("a", {"x": 1, "y": 2}), ("b", {"x": 1, "y": 3}), ("c", {"y": 2}))
    ]
    found = config_differences(read_tests(folders))
    assert found == {"y": [2, 3, 2], "x": [1, 1, "(absent)"]}


def test_best_values_by_direction():
    values = {"a": 1.0, "b": 2.0, "c": float("nan")}
    assert best_runs("test/psnr", values) == {"b"}
    assert best_runs("fid", values) == {"a"}
    assert best_runs("pck@0.1", values) == {"b"}
    assert best_runs("psnr_copy_exemplar", values) == set()
    assert best_runs("psnr", {"a": 1.0, "b": 1.0}) == set()
    assert best_runs("psnr", {"a": 1.0}) == set()


def test_the_command(make_test, tmp_path, capsys):
    one, two = make_test("one", {"psnr": 20.0}), make_test("two", {"psnr": 21.0})
    main(["report", str(one), str(two), "--out", str(tmp_path / "page.html")])
    assert "page.html" in capsys.readouterr().out
    assert "21.00 dB" in (tmp_path / "page.html").read_text()
    with pytest.raises(SystemExit) as ended:
        main(["report", str(one), str(tmp_path / "none")])
    assert ended.value.code == 2
    assert "does not exist" in capsys.readouterr().err
