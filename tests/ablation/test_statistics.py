import numpy as np
import pytest

from mcltoolkit.ablation.results import Result
from mcltoolkit.ablation.statistics import paired_difference, spread, tabulate


def test_mean_and_sample_standard_deviation():
    values = np.random.default_rng(0).normal(3, 2, size=7)
    found = spread(values.tolist())
    assert found.mean == pytest.approx(np.mean(values))
    assert found.std == pytest.approx(np.std(values, ddof=1))
    assert found.n == 7


def test_too_few_values():
    one, none = spread([2.5]), spread([])
    assert (one.mean, one.std, one.n) == (2.5, None, 1)
    assert (none.mean, none.std, none.n) == (None, None, 0)


def test_differences_are_taken_seed_by_seed():
    rng = np.random.default_rng(1)
    common = rng.normal(0, 10, size=5)  # what a seed does to every row alike
    ours = dict(enumerate(common + 0.5 + rng.normal(0, 0.01, size=5)))
    theirs = dict(enumerate(common))
    found = paired_difference(ours, theirs)
    plain = np.array(list(ours.values())) - common
    assert found.mean == pytest.approx(plain.mean())
    assert found.std == pytest.approx(plain.std(ddof=1))
    assert found.std < 0.1 < spread(ours.values()).std
    del theirs[0], ours[4]
    assert paired_difference(ours, theirs).mean == pytest.approx(plain[1:4].mean())
    assert paired_difference(ours, {}).n == 0


def test_the_table_has_every_cell(content, planned):
    matrix, runs = planned(content)
    results = []
    for index, run in enumerate(runs):
        metrics = {"scenes/label_accuracy": index / 100, "self/psnr": 20 + run.seed}
        if run.row == "margin 0":
            del metrics["self/psnr"]
        unfinished = (run.row, run.seed) == ("w/o mcl", 3)
        results.append((run, None if unfinished else Result(metrics)))
    table = tabulate(matrix, results)
    assert len(table) == 3 * 2 * 2
    # runs 0 and 6 are the reference with labels, 2 and 8 margin 0, 1 and 7 without the term
    assert table["labels", "full", "scenes/label_accuracy"].values == {0: 0.0, 3: 0.06}
    assert table["labels", "full", "scenes/label_accuracy"].difference is None
    margin = table["labels", "margin 0", "scenes/label_accuracy"]
    assert margin.values == {0: 0.02, 3: 0.08}
    assert margin.difference.mean == pytest.approx(0.02)
    assert margin.difference.std == pytest.approx(0)
    without = table["labels", "w/o mcl", "scenes/label_accuracy"]
    assert without.values == {0: 0.01}
    assert (without.difference.mean, without.difference.n) == (pytest.approx(0.01), 1)
    assert table["no labels", "margin 0", "self/psnr"].spread.n == 0
