import pytest

from mcltoolkit.ablation.matrix import Column, read_matrix, select, slug
from mcltoolkit.errors import ConfigError


def test_a_whole_file_is_read(content, write, tmp_path):
    content["base"] = "sub/base.py"
    content["changes"]["own"] = {"config": "own.py", "train_cfg.max_iters": 3}
    content["published"] = "supplement_table1"
    matrix = read_matrix(write(content))
    assert matrix.base == tmp_path / "sub/base.py"
    assert matrix.seeds == (0, 3)
    assert [row.name for row in matrix.rows] == ["full", "w/o mcl", "margin 0", "own"]
    assert matrix.row("own").config == tmp_path / "own.py"
    assert matrix.row("own").options == {"train_cfg.max_iters": 3}
    assert matrix.row("full").config is None
    assert [group.name for group in matrix.groups] == ["labels", "no labels"]
    assert [evaluation.name for evaluation in matrix.evaluations] == ["scenes", "self"]
    assert matrix.columns[1] == Column("self", "psnr", "PSNR (dB)", "higher", 2)
    assert matrix.published.rows["w/o mcl"]["fid"] == 26.12


def test_what_may_be_left_out(content, write):
    for key in ("seeds", "options", "groups", "evaluations", "reference"):
        del content[key]
    content["metrics"] = [{"name": "test/l1", "better": "lower"}]
    matrix = read_matrix(write(content))
    assert matrix.seeds == (0,)
    assert [group.name for group in matrix.groups] == [""]
    assert [evaluation.name for evaluation in matrix.evaluations] == ["test"]
    assert matrix.reference == "full"
    assert matrix.columns == (Column("test", "l1", "l1", "lower", 3),)


def test_published_columns_are_found_by_name_or_named(content, write):
    content["published"] = "supplement_table1"
    content["metrics"] = [
        {"name": "scenes/fid", "better": "lower"},
        {"name": "scenes/psnr", "better": "higher"},
        {"name": "scenes/style", "better": "higher", "published": "style_color"},
    ]
    columns = read_matrix(write(content)).columns
    assert [column.published for column in columns] == ["fid", None, "style_color"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"change": {}}, "unknown key 'change'; did you mean 'changes'"),
        ({"metrics": []}, "has no `metrics`"),
        ({"base": None}, "has no `base`"),
        ({"base": 3}, "base is 3; it must be a config's path"),
        ({"seeds": []}, "seeds is .*list of integers"),
        ({"seeds": [1, True]}, "seeds is .*list of integers"),
        ({"seeds": [-1]}, "seeds is .*list of integers"),
        ({"seeds": [1, 1]}, "has a seed twice"),
        ({"options": [1]}, "options is .*mapping of dotted settings"),
        ({"options": {"randomness.seed": 1}}, "sets randomness.seed, which follows `seeds`"),
        ({"changes": {"a b": {}, "a-b": {}}}, "as a file name this is 'a-b', like 'a b'"),
        ({"changes": {"!": {}}}, "needs a letter or a digit"),
        ({"changes": {False: {}}}, "YAML reads this name as False.*quotes"),
        ({"changes": {"full": "none"}}, "changes: full is 'none'"),
        ({"changes": {"full": {"config": 3}}}, "changes: full is 3; it must be a config's path"),
        ({"groups": {"g": {"train_dataloader.dataset.seed": 1}}}, "follows `seeds`"),
        ({"reference": "ful"}, "reference is 'ful'.*did you mean 'full'"),
        ({"evaluations": {"a/b": {}}}, "must not contain '/'"),
        ({"published": "table1"}, "`published` is 'table1'"),
        ({"metrics": [{"name": "psnr", "better": "higher"}]}, "must be EVALUATION/METRIC"),
        ({"metrics": [{"name": "scene/psnr", "better": "higher"}]}, "did you mean 'scenes'"),
        ({"metrics": [{"name": "scenes/psnr"}]}, "better is None; allowed are higher, lower"),
        ({"metrics": [{"name": "scenes/psnr", "beter": 1}]}, "unknown key 'beter'"),
        ({"metrics": [{"name": "scenes/a", "better": "lower", "decimals": -1}]}, "decimals is -1"),
        ({"metrics": [{"name": "scenes/a", "better": "lower"}] * 2}, "name 'scenes/a' is given"),
        ({"metrics": [{"name": "scenes/a", "better": "lower"},
                      {"name": "self/a", "better": "lower"}]}, "label 'a' is given twice"),
        ({"metrics": [{"name": "scenes/a", "better": "lower", "published": "fid"}]},
         "published is 'fid'; set `published` at the top"),
    ],
)  # fmt: skip
def test_mistakes_are_named(content, write, changes, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_matrix(write({**content, **changes}))
    assert "matrix.yaml" in str(caught.value)


def test_slugs():
    names = ["w/o mcl", "CoCosNet + MCL", "margin 0.25", "Größe"]
    assert [slug(name) for name in names] == ["without-mcl", "cocosnet-mcl", "margin-0-25", "gr-e"]


def test_selecting():
    assert select(["b", "a"], ["a", "b", "c"], "no row") == ["a", "b"]
    assert select(None, ["a", "b"], "no row") == ["a", "b"]
    with pytest.raises(ConfigError, match="no row 'w/o mc'; did you mean 'w/o mcl'"):
        select(["w/o mc"], ["full", "w/o mcl"], "no row")
