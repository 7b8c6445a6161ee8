import math

from mcltoolkit.visualization.extremes import choose_extremes


def test_best_median_and_worst_of_many():
    order = [5, 0, 8, 3, 6, 1, 7, 2, 4]
    values = {place: {"psnr": float(v), "label_accuracy": -v} for place, v in enumerate(order)}
    chosen = choose_extremes(values)
    assert (chosen.by, chosen.ranked) == ("psnr", 9)
    by_group = {g: [order[place] for place in places] for g, places in chosen.groups.items()}
    assert by_group == {"best": [8, 7], "median": [5, 4], "worst": [0, 1]}
    assert list(by_group) == ["best", "median", "worst"]
    single = choose_extremes(values, each=1)
    assert [order[p] for g in single.groups.values() for p in g] == [8, 4, 0]


def test_samples_without_a_truth_are_ranked_by_label_accuracy():
    values = {n: {"label_accuracy": a} for n, a in zip("abc", (0.5, 0.9, 0.1), strict=True)}
    chosen = choose_extremes(values)
    assert chosen.by == "label_accuracy"
    assert chosen.groups == {"best": ["b"], "median": ["a"], "worst": ["c"]}
    values["d"] = {"psnr": 3.0}
    assert choose_extremes(values).groups == {"best": ["d"]}
    assert choose_extremes(values).ranked == 1


def test_groups_never_overlap_and_equals_keep_their_order():
    for count in range(1, 12):
        for each in (1, 2, 3):
            chosen = choose_extremes({n: {"psnr": 1.0} for n in range(count)}, each)
            shown = [n for group in chosen.groups.values() for n in group]
            assert len(set(shown)) == len(shown)
            assert chosen.groups["best"][0] == 0


def test_without_values_nothing_is_chosen():
    chosen = choose_extremes({"a": {}, "b": {"psnr": math.nan}, "c": {"fid": 3.0}})
    assert chosen.groups == {}
    assert chosen.by == ""
    assert choose_extremes({}).groups == {}
