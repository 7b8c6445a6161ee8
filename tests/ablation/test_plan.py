import re
import shutil

import pytest

from mcltoolkit.ablation.matrix import read_matrix
from mcltoolkit.ablation.plan import chosen, combinations, plan
from mcltoolkit.engine.config import load_config
from mcltoolkit.errors import ConfigError
from mcltoolkit.registry import DATASETS, MODELS
from mcltoolkit.structures import Sample


def places(runs):
    return [(run.row, run.group, run.seed) for run in runs]


def test_the_matrix_is_every_row_in_every_group_with_every_seed(content, planned):
    matrix, runs = planned(content)
    assert places(runs) == [
        ("full", "labels", 0), ("w/o mcl", "labels", 0), ("margin 0", "labels", 0),
        ("full", "no labels", 0), ("w/o mcl", "no labels", 0), ("margin 0", "no labels", 0),
        ("full", "labels", 3), ("w/o mcl", "labels", 3), ("margin 0", "labels", 3),
        ("full", "no labels", 3), ("w/o mcl", "no labels", 3), ("margin 0", "no labels", 3),
    ]  # fmt: skip
    assert [(r.name, g.name, s) for r, g, s in combinations(matrix)] == places(runs)
    run = runs[10]
    assert run.options == {
        "train_cfg.max_iters": 2,
        "train_cfg.val_interval": 0,
        "val_dataloader.dataset.length": 1,
        "test_dataloader.dataset.length": 2,
        "model.correspondence.mask_mix": False,
        "model.losses.mask": None,
        "model.losses.mcl": None,
        "randomness.seed": 3,
        "train_dataloader.dataset.seed": 3,
    }
    assert re.fullmatch(r"without-mcl\.no-labels\.seed3-[0-9a-f]{8}", run.folder.name)
    assert run.title == "w/o mcl, no labels, seed 3"
    assert len({run.folder for run in runs}) == 12
    assert [e.name for e in run.evaluations] == ["scenes", "self"]


def test_the_settings_are_what_the_options_make_of_the_config(content, planned):
    _, runs = planned(content)
    run = runs[-1]
    config = load_config(run.config, dict(run.options))
    for name, value in run.settings.items():
        assert config.get(name) == value, name
    tested = load_config(run.config, {**run.options, **run.evaluations[1].options})
    assert run.evaluations[1].settings["test_dataloader"] == tested.test_dataloader
    assert tested.test_dataloader.dataset.exemplar == "self"


def built(settings, loader):
    return DATASETS.build(settings[loader]["dataset"])


def test_seeds_change_the_training_and_not_the_held_out_scenes(content, planned):
    content["groups"] = {}
    _, runs = planned(content)
    one, other = runs[0], runs[3]
    assert (one.row, one.seed, other.row, other.seed) == ("full", 0, "full", 3)
    assert one.settings["randomness"]["seed"] == 0
    assert other.settings["randomness"]["seed"] == 3
    train = [built(run.settings, "train_dataloader") for run in (one, other)]
    assert not any(equal(train[0][i], train[1][i]) for i in range(4))
    for settings in [(one.settings, other.settings)] + [
        (a.settings, b.settings) for a, b in zip(one.evaluations, other.evaluations, strict=True)
    ]:
        for loader in ("val_dataloader", "test_dataloader"):
            held_out = [built(part, loader) for part in settings]
            assert all(equal(held_out[0][i], held_out[1][i]) for i in range(len(held_out[0])))
            assert not equal(held_out[0][0], built(settings[1], "train_dataloader")[0])


def equal(one: Sample, other: Sample) -> bool:
    return bool((one.truth == other.truth).all() and (one.labels == other.labels).all())


def test_a_change_moves_only_what_it_concerns(content, planned):
    def folders(**changed):
        _, runs = planned({**content, **changed})
        return dict(zip(places(runs), runs, strict=True))

    before = folders()
    rows = {**content["changes"], "w/o mcl": {"model.losses.mcl.weight": 0.5}}
    after = folders(changes=rows)
    moved = {place[0] for place in before if before[place].folder != after[place].folder}
    assert moved == {"w/o mcl"}
    tests = {**content["evaluations"], "self": {"test_dataloader.dataset.exemplar": "self",
                                                "test_dataloader.dataset.length": 1}}  # fmt: skip
    after = folders(evaluations=tests)
    for place, run in after.items():
        assert run.folder == before[place].folder
        same = [a.folder == b.folder for a, b in
                zip(run.evaluations, before[place].evaluations, strict=True)]  # fmt: skip
        assert same == [True, False]


def test_a_row_may_be_a_config_of_its_own(content, planned, tiny_config, tmp_path):
    (tmp_path / "own.py").write_text(
        f"_base_ = {str(tiny_config)!r}\nmodel = dict(self_correlation=None)\n"
    )
    content["changes"] = {
        "full": {},
        "own": {"config": "own.py"},
        "own, m=0": {"config": "own.py", "model.losses.mcl.margin": 0},
    }
    _, runs = planned(content)
    own = runs[2]
    assert own.config == tmp_path / "own.py"
    assert own.settings["model"]["self_correlation"] is None
    assert own.settings["model"]["losses"]["mcl"]["margin"] == 0
    assert own.settings["train_cfg"]["max_iters"] == 2, "the matrix's options hold for it too"
    assert runs[5].settings["model"]["losses"]["mask"] is None, "and so do the groups"
    content["changes"] = {"full": {}, "gone": {"config": "owm.py"}}
    with pytest.raises(ConfigError, match=r"owm\.py does not exist; did you mean 'own\.py'"):
        planned(content)


def test_options_of_the_call_win_over_the_matrix(content, planned):
    _, runs = planned(content, options={"train_cfg.max_iters": 5})
    assert {run.settings["train_cfg"]["max_iters"] for run in runs} == {5}
    with pytest.raises(ConfigError, match="--cfg-options randomness.seed: the matrix sets it"):
        planned(content, options={"randomness.seed": 5})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"changes": {"full": {}, "m": {"model.losses.mcl.margin": 0.25}}},
         "changes: m: model.losses.mcl.margin is 0.25 without this change too"),
        ({"changes": {"full": {}, "m": {"model.losses.mcl.margn": 0.5}}},
         "changes: m: .* no setting 'margn'; did you mean 'margin'"),
        ({"options": {"train_cfg.max_iter": 3}}, "options: train_cfg.max_iter: .*'max_iters'"),
        ({"groups": {"a": {"model.correspondence.mask_mixx": False}}}, "groups: a: .*'mask_mix'"),
        ({"groups": {"a": {}, "b": {"model.correspondence.mask_mix": True}}},
         "groups: b: model.correspondence.mask_mix is True without this change too"),
        ({"groups": {"a": {}, "b": {}}}, "the groups 'b' and 'a' have the same settings"),
        ({"changes": {"full": {}, "again": {}}}, "the rows 'again' and 'full' have the same"),
        ({"evaluations": {"scenes": {}, "self": {"test_dataloader.dataset.length": 2}}},
         "evaluations: self: test_dataloader.dataset.length is 2 without"),
        ({"options": {"test_dataloader.sampler.shuffle": True}}, "set it to false"),
        ({"groups": {"a": {}, "b": {"model.losses.mcl": None}}},
         "model.losses.mcl and model.losses.mcl.margin meet in one run"),
    ],
)  # fmt: skip
def test_mistakes_are_named(content, planned, changes, words):
    with pytest.raises(ConfigError, match=words):
        planned({**content, **changes})


def test_choosing(content, planned):
    _, runs = planned(content)
    few = chosen(runs, ["margin 0", "full"], ["labels"], [3])
    assert places(few) == [("full", "labels", 3), ("margin 0", "labels", 3)]
    assert chosen(runs) == runs
    for arguments, words in [
        ({"rows": ["w/o mc"]}, "no row 'w/o mc'; did you mean 'w/o mcl'"),
        ({"groups": ["label"]}, "no group 'label'; did you mean 'labels'"),
        ({"seeds": [1]}, "no seed '1': the matrix has '0', '3'"),
    ]:
        with pytest.raises(ConfigError, match=words):
            chosen(runs, **arguments)


def test_the_shipped_matrix_of_the_scenes(root, tmp_path):
    matrix = read_matrix(root / "configs/ablations/scenes.yaml")
    runs = plan(matrix, tmp_path)
    assert len(runs) == len(matrix.rows) * len(matrix.groups) * len(matrix.seeds)
    assert len(matrix.seeds) == 3
    for run in runs:
        model = run.settings["model"]
        assert model["correspondence"]["mask_mix"] is (run.group == "labels")
        assert (model["losses"]["mask"] is None) is (run.group == "no labels")
        if run.seed == 0:
            built = MODELS.build(model)
            wanted = {name for name, loss in model["losses"].items() if loss is not None}
            assert set(built.losses.terms) == wanted


def test_the_shipped_matrix_of_the_full_size(root, tmp_path):
    """Configs that are not there are stood in for: only this file is under test."""
    configs = tmp_path / "configs"
    shutil.copytree(root / "configs", configs)
    file = configs / "ablations" / "ade20k.yaml"
    matrix = read_matrix(file)
    for number, row in enumerate(matrix.rows):
        if row.config is not None and not row.config.exists():
            row.config.write_text(
                "_base_ = '../mclnet_ade20k.py'\n"
                f"model = dict(losses=dict(mcl=dict(weight={number})))\n"
            )
    weights = {f"test_evaluator.{number}.weights": f"{number}.pth" for number in (2, 3, 4)}
    runs = plan(matrix, tmp_path / "work", weights, vgg_weights="random")
    assert [run.row for run in runs] == [row.name for row in matrix.rows]
    for run in runs:
        metrics = run.evaluations[0].settings["test_evaluator"][2:]
        assert [metric["weights"] for metric in metrics] == ["2.pth", "3.pth", "4.pth"]
    assert set(matrix.published.rows) <= {row.name for row in matrix.rows}
