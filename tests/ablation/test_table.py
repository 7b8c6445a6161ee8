import csv
import io
import math

import pytest

from mcltoolkit.ablation.report import check_metrics, write_tables
from mcltoolkit.ablation.results import Result, failure_file
from mcltoolkit.ablation.statistics import Spread
from mcltoolkit.ablation.table import write_spread
from mcltoolkit.errors import ConfigError
from mcltoolkit.files import write_json


@pytest.fixture
def tables(content, planned, finish, tmp_path):
    """Files of made-up results: accuracy 0.5 + 0.1 per row + 0.01 per seed, FID beside published;
    `margin 0` with seed 3 failed, and nothing ran without labels."""
    content["published"] = "supplement_table1"
    content["metrics"] = [
        {"name": "scenes/label_accuracy", "label": "label transfer", "better": "higher"},
        {"name": "self/fid", "label": "FID | own", "better": "lower", "decimals": 2},
    ]
    matrix, runs = planned(content)
    for run in runs:
        if run.group == "no labels":
            continue
        place = ["full", "w/o mcl", "margin 0"].index(run.row)
        if (run.row, run.seed) == ("margin 0", 3):
            run.folder.mkdir(parents=True)
            write_json(failure_file(run), {"error": "DataError: no file"})
        else:
            accuracy = 0.5 + place / 10 + run.seed / 100
            finish(run, {"scenes/label_accuracy": accuracy, "self/fid": 30.0 - place})
    write_tables(matrix, runs, tmp_path / "out")
    return tmp_path / "out"


def rows(text, heading):
    """Cells of the table under a heading."""
    lines = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def test_the_text(tables):
    text = (tables / "table.md").read_text()
    header, _, full, without, margin = rows(text, "Results: labels")
    assert header == ["", "runs", "label transfer ↑", "FID \\| own ↓", "FID \\| own, published"]
    # seeds 0 and 3 differ by 0.03: sample standard deviation 0.03 / sqrt(2) = 0.0212
    assert full == ["full", "2", "0.515 ± 0.021", "30.00 ± 0.00", "24.35"]
    assert without == ["w/o mcl", "2", "0.615 ± 0.021", "29.00 ± 0.00", "26.12"]
    assert margin[:4] == ["margin 0", "1 of 2, 1 failed", "0.700", "28.00"]
    header, _, without, margin = rows(text, "Difference to `full`: labels")
    assert without == ["w/o mcl", "2", "+0.100 ± 0.000", "-1.00 ± 0.00"]
    assert margin == ["margin 0", "1", "+0.200", "-2.00"]
    assert rows(text, "Results: no labels")[2][1:4] == ["0 of 2", "–", "–"]  # noqa: RUF001
    assert "seeds 0, 3; 5 of 12 runs are finished" in text
    assert "sample standard deviation over seeds" in text
    assert "- **margin 0, labels, seed 3**: DataError: no file (log: " in text


def test_the_text_tells_what_each_row_changes(tables):
    text = (tables / "table.md").read_text()
    part = text.split("## What each row changes")[1].split("## ")[0]
    assert "- `model.losses.mcl.margin: 0.25 -> 0.0`" in part
    assert "- `model.losses.mcl: MarginalContrastiveLoss(weight=1.0" in part
    assert "seed" not in part


def test_the_text_tells_the_published_numbers_and_their_source(tables):
    text = (tables / "table.md").read_text()
    header, _, full, without = rows(text, "Published")
    assert header == ["", "FID ↓", "style relevance, colour ↑", "style relevance, texture ↑",
                      "semantic consistency ↑"]  # fmt: skip
    assert full == ["full", "24.35", "0.984", "0.967", "0.886"]
    assert without == ["w/o mcl", "26.12 (+1.77)", "0.977 (-0.007)", "0.965 (-0.002)",
                       "0.853 (-0.033)"]  # fmt: skip
    assert "supplementary material, Table 1" in text
    assert "Not measured here" in text


def read(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_runs(tables):
    lines = read(tables / "table.csv")
    assert len(lines) == 12
    line = next(x for x in lines if (x["row"], x["group"], x["seed"]) == ("w/o mcl", "labels", "3"))
    assert line["state"] == "finished"
    assert float(line["scenes/label_accuracy"]) == pytest.approx(0.63)
    assert float(line["self/fid"]) == 29
    failed = [line for line in lines if line["state"] == "failed"]
    assert [(x["row"], x["seed"], x["self/fid"]) for x in failed] == [("margin 0", "3", "")]


def test_the_summary(tables):
    lines = {(x["group"], x["row"], x["metric"]): x for x in read(tables / "summary.csv")}
    assert len(lines) == 12
    line = lines["labels", "w/o mcl", "self/fid"]
    assert (float(line["mean"]), float(line["std"]), line["n"]) == (29, 0, "2")
    assert (float(line["difference_mean"]), line["difference_n"]) == (-1, "2")
    assert (line["published"], line["better"], line["label"]) == ("26.12", "lower", "FID | own")
    line = lines["labels", "full", "scenes/label_accuracy"]
    assert float(line["std"]) == pytest.approx(0.03 / math.sqrt(2))
    assert line["difference_mean"] == line["published"] == ""
    assert lines["no labels", "full", "self/fid"]["mean"] == ""


def test_the_picture_is_one(tables):
    from PIL import Image

    picture = Image.open(tables / "table.png")
    assert picture.format == "PNG"
    assert picture.width > picture.height


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Spread(0.12345, 0.0678, 3), "+0.123 ± 0.068"),
        (Spread(-1.0, None, 1), "-1.000"),
        (Spread(None, None, 0), "–"),  # noqa: RUF001
        (Spread(math.nan, math.nan, 2), "not finite ± not finite"),
    ],
)
def test_numbers(value, text):
    assert write_spread(value, 3, "+") == text


def test_a_column_of_two_protocols_is_refused(content, planned, finish, tmp_path):
    matrix, runs = planned(content)
    metrics = {"scenes/label_accuracy": 0.5, "self/psnr_w": 20.0}
    finish(runs[0], metrics, image_size="64x64")
    finish(runs[1], metrics, image_size="32x32")
    with pytest.raises(ConfigError, match="image_size is '64x64' in .* and '32x32' in") as error:
        write_tables(matrix, runs, tmp_path / "tables")
    assert runs[0].title in str(error.value)
    assert runs[1].title in str(error.value)
    assert not (tmp_path / "tables").exists()
    finish(runs[1], metrics, image_size="64x64")
    assert write_tables(matrix, runs, tmp_path / "tables").is_file()


def test_metrics_that_no_run_gives(content, planned):
    matrix, _ = planned(content)
    check_metrics(matrix, [])
    one, other = Result({"scenes/label_accuracy": 1.0}), Result({"self/psnr": 1.0, "x/y": 0.0})
    check_metrics(matrix, [one, other])
    with pytest.raises(ConfigError, match=r"self/psnr is not among .*did you mean 'self/psnr_w'"):
        check_metrics(matrix, [one, Result({"self/psnr_w": 1.0})])
