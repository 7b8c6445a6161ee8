"""Every shipped config: the published recipes value by value, and ablations that change one thing.

The tables below are written from the papers' supplement and the released training commands, not
read from the configs.
"""

import inspect
import itertools
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from mcltoolkit.ablation import read_matrix
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain, lay_out
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.engine.provenance import differences
from mcltoolkit.layers.norm import InstanceNorm, PositionalNorm
from mcltoolkit.losses.audit import dead_losses
from mcltoolkit.registry import DATASETS, METRICS, MODELS
from mcltoolkit.structures import Batch

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
DATA = ("ade20k", "celebahq_edge", "celebahq_mask", "deepfashion")
RECIPES = [f"{method}_{data}" for method in ("mclnet", "cocosnet") for data in DATA]
ABLATIONS = sorted(file.stem for file in (CONFIGS / "ablations").glob("ade20k_*.py"))
SHIPPED = sorted(
    str(file.relative_to(CONFIGS))[:-3]
    for folder in (CONFIGS, CONFIGS / "ablations")
    for file in folder.glob("*.py")
    if not file.stem.startswith("table1_")  # the recipes themselves, see the test below
)

# The same in all recipes. Batches: 32 in all, the commands start 4 processes.
COMMON = {
    "batch a process": 32 / 4,
    "rates of generator and discriminator": (1e-4, 4e-4),
    "constant share": 0.5,
    "resize, crop, test size": ((286, 286), (256, 256), (256, 256)),
    "hard among retrieved": 0.2,
    "test exemplar": "first",
    "centre, neighbourhood, temperature": ("channels", 3, 0.01),
    "generator norm": "pono",
    "attention in generator and discriminator": (True, True),
    "base widths": (64, 64, 64, 64),
    "adv, feature matching, cxt, fcst": (10, 10, 10, 10),
}
# Epochs; condition channels; side of the strided kernels; share of retrieved exemplars; flips;
# mask mix; warp; weights and layer of L_per, L_pse, mask and self-warp losses.
BY_DATA = {
    "ade20k": (200, 151, 3, 0.7, True, True, ("average", "nearest"), 0.01, "relu5_2", 1, 100, None),
    "celebahq_edge": (
        *(60, 15, 4, 0.7, True, True, ("average", "bilinear")),
        *(0.001, "relu4_2", 10, None, None),
    ),
    "celebahq_mask": (
        *(60, 19, 4, 0.7, True, True, ("average", "bilinear")),
        *(0.001, "relu4_2", 10, 100, None),
    ),
    "deepfashion": (
        *(100, 20, 4, 0.0, False, False, ("patch", "nearest")),
        *(0.001, "relu4_2", 10, None, 100),
    ),
}
# Adam's betas (both sides) and eps of the generator side (None: torch's 1e-8); steps of the decay
# (None: every iteration); norm in the encoders' SPADE; L_cyc; L_pse divided by the batch once more;
# weight, temperature, margin and schedule of L_mcl; the map.
MCLNET = ((0.0, 0.999), None, None, "syncbn", 1, {False}, (0.01, 0.07, 0.25, (0.4, 0.7)), True)
COCOSNET_CYCLE = {
    "ade20k": None,
    "celebahq_edge": 1,
    "celebahq_mask": 0.1,
    "deepfashion": None,
}
COCOSNET_DECAY = {"ade20k": 100, "celebahq_edge": 30, "celebahq_mask": 30, "deepfashion": 50}


def config_of(name):
    return load_config(CONFIGS / f"{name}.py")


def weight(losses, name):
    return None if losses.get(name) is None else losses[name].weight


def kind_of(norm):
    if isinstance(norm, PositionalNorm):
        return "pono"
    return "syncbn" if isinstance(norm, nn.modules.batchnorm._BatchNorm) else type(norm).__name__


def shrunk(name):
    """The config with networks of a few channels, random VGG-19 of 1/16 width and small images."""
    config = config_of(name)
    small = {"base_width": 4, "spade_hidden": 4, "spade_blocks": 1}
    model = config.model
    for encoder in ("condition_encoder", "image_encoder"):
        model[encoder].update(small)
    model.correspondence.update(embed=8, blocks=1)
    if model.correspondence.get("hidden"):
        model.correspondence.hidden = 8
    if model.self_correlation:
        model.self_correlation.update(pooled=4, hidden=8, out_channels=8)
    model.generator.update(base_width=4, ups=2, spade_hidden=4)
    model.discriminator.update(base_width=4, layers=3)
    if model.vgg:
        model.vgg.update(weights="random", width_divisor=16)
    if model.losses.mcl:
        model.losses.mcl.update(hidden=8, margin_schedule=None)
    return config


@cache
def reduced(name):
    """The translator of a recipe, with few channels."""
    settings = {**shrunk(name).model, "losses": {}, "discriminator": None}
    return MODELS.build(settings).translator


@cache
def full_size(name):
    """The translator of a config at full size, without memory."""
    return lay_out(config_of(name)).translator


@pytest.mark.parametrize("name", RECIPES)
def test_what_all_recipes_share(name):
    config, translator = config_of(name), reduced(name)
    train, test = config.train_dataloader, config.test_dataloader
    sides = [config.optim_wrapper[side].optimizer for side in ("generator", "discriminator")]
    resize, crop = train.dataset.geometry[:2]
    correspondence = translator.correspondence
    generator = config.model.generator
    losses = config.model.losses
    assert {side.type for side in sides} == {"Adam"}
    assert config.param_scheduler.type == "ConstantThenLinearLR"
    assert [resize.type, crop.type] == ["PILResize", "RandomCrop"]
    assert {
        "batch a process": train.batch_size,
        "rates of generator and discriminator": tuple(side.lr for side in sides),
        "constant share": config.param_scheduler.constant,
        "resize, crop, test size": tuple(
            (step.height, step.width) for step in (resize, crop, test.dataset.geometry[-1])
        ),
        "hard among retrieved": train.dataset.exemplar_choice.hard,
        "test exemplar": test.dataset.exemplar_choice.mode,
        "centre, neighbourhood, temperature": (
            correspondence.centre,
            correspondence.neighbourhood,
            correspondence.temperature,
        ),
        "generator norm": kind_of(translator.generator.stages["head"].norm_0.norm),
        "attention in generator and discriminator": (
            generator.attention,
            config.model.discriminator.attention,
        ),
        "base widths": (
            *(config.model[f"{side}_encoder"].base_width for side in ("condition", "image")),
            generator.base_width,
            config.model.discriminator.base_width,
        ),
        "adv, feature matching, cxt, fcst": tuple(
            weight(losses, term) for term in ("adv", "feature_matching", "cxt", "fcst")
        ),
    } == COMMON


@pytest.mark.parametrize("name", RECIPES)
def test_what_each_data_set_asks_for(name):
    config, translator = config_of(name), reduced(name)
    train, losses = config.train_dataloader.dataset, config.model.losses
    choice = train.exemplar_choice
    assert choice.mode == "recipe"
    kernels = {
        stage[0].weight.shape[-1]
        for encoder in (translator.condition_encoder, translator.image_encoder)
        for stage in (encoder.stages[1], encoder.stages[3])
    }
    assert len(kernels) == 1
    _, _, data = name.partition("_")
    assert (
        config.train_cfg.max_epochs,
        config.model.condition_channels,
        kernels.pop(),
        choice.retrieved,
        any(step.type == "HorizontalFlip" for step in train.geometry),
        translator.correspondence.mask_mix,
        (translator.correspondence.warp_mode, translator.correspondence.upsample_mode),
        losses.per.weight,
        losses.per.layer,
        losses.pse.weight,
        weight(losses, "mask"),
        weight(losses, "self_warp"),
    ) == BY_DATA[data]
    if weight(losses, "mask"):
        assert losses.mask.ignore_label == 0


@pytest.mark.parametrize("name", RECIPES)
def test_what_each_method_asks_for(name):
    config, translator = config_of(name), reduced(name)
    losses, sides = config.model.losses, config.optim_wrapper
    assert sides.generator.optimizer.betas == sides.discriminator.optimizer.betas
    assert "eps" not in sides.discriminator.optimizer
    encoders = (translator.condition_encoder, translator.image_encoder)
    norms = {kind_of(block.norm_0.norm) for e in encoders for block in e.blocks}
    assert len(norms) == 1
    assert {type(stage[1]) for e in encoders for stage in e.stages} == {InstanceNorm}
    mcl = losses.mcl and (
        losses.mcl.weight,
        losses.mcl.temperature,
        losses.mcl.margin,
        tuple(losses.mcl.margin_schedule.values()),
    )
    method, _, data = name.partition("_")
    released = (
        *((0.0, 0.9), 1e-3, COCOSNET_DECAY[data], "pono", COCOSNET_CYCLE[data], {True}),
        *(None, False),
    )
    assert (
        sides.generator.optimizer.betas,
        sides.generator.optimizer.get("eps"),
        config.param_scheduler.get("steps"),
        norms.pop(),
        weight(losses, "cyc"),
        {losses[n].get("released", False) for n in ("pse", "self_warp") if n in losses},
        mcl,
        translator.self_correlation is not None,
    ) == (MCLNET if method == "mclnet" else released)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("data", DATA)
def test_cocosnet_has_the_released_number_of_parameters(data):
    """Written as sums over the layers of the supplement's figures; for ADE20K the released networks
    have 96.7 M (generator) and 59.3 M (alignment)."""
    channels, k = BY_DATA[data][1:3]

    def conv(a, b, side, bias=True):
        return a * b * side**2 + b * bias

    def block(a, b, context):
        def spade(width):
            return conv(context, 128, 3) + 2 * conv(128, width, 3)

        middle = min(a, b)
        shortcut = spade(a) + conv(a, b, 1, bias=False) if a != b else 0
        main = spade(a) + spade(middle) + conv(a, middle, 3) + conv(middle, b, 3)
        return main + shortcut

    def encoder(c):
        stages = ((c, 64, 3), (64, 128, k), (128, 256, 3), (256, 512, k), (512, 512, 3))
        widths = ((512, 512), (512, 512), (512, 256))
        return sum(conv(*s, bias=False) for s in stages) + sum(block(*w, c) for w in widths)

    joint = 256 + channels * BY_DATA[data][5]
    residual = 4 * (2 * conv(joint, joint, 3) + 1)
    alignment = encoder(channels) + encoder(3) + residual + 2 * conv(joint, 256, 1)
    context = channels + 3
    widths = (1024, 1024, 1024, 1024, 512, 256, 128, 64)
    attention = conv(256, 32, 1, bias=False) * 2 + conv(256, 128, 1, bias=False) * 2 + 1
    generator = conv(context, 1024, 3) + attention + conv(64, 3, 3)
    generator += sum(block(a, b, context) for a, b in itertools.pairwise(widths))

    translator = full_size(f"cocosnet_{data}")
    assert count(translator.generator) == generator
    assert count(translator) - generator == alignment
    if data == "ade20k":
        assert round(generator / 1e6, 1) == 96.7
        assert round(alignment / 1e6, 1) == 59.3


@pytest.mark.parametrize(
    ("ablation", "base", "changed"),
    [
        ("ade20k_wo_cyc", "ablations/table1_mclnet", {"model.losses.cyc": None}),
        ("ade20k_wo_fcst", "ablations/table1_mclnet", {"model.losses.fcst": None}),
        ("ade20k_wo_per", "ablations/table1_mclnet", {"model.losses.per": None}),
        ("ade20k_wo_cxt", "ablations/table1_mclnet", {"model.losses.cxt": None}),
        ("ade20k_wo_pse", "ablations/table1_mclnet", {"model.losses.pse": None}),
        ("ade20k_wo_mcl", "ablations/table1_mclnet", {"model.losses.mcl": None}),
        (
            "ade20k_wo_adv",
            "ablations/table1_mclnet",
            {"model.losses.adv": None, "model.losses.feature_matching": None},
        ),
        ("ade20k_margin_0", "ablations/table1_mclnet", {"model.losses.mcl.margin": 0.0}),
        ("ade20k_wo_map", "ablations/table1_mclnet", {"model.self_correlation": None}),
        (
            "ade20k_cocosnet_mcl",
            "ablations/table1_cocosnet",
            {"model.losses.mcl": "of mclnet_ade20k"},
        ),
    ],
)
def test_an_ablation_changes_what_it_names_and_nothing_else(ablation, base, changed):
    first, second = config_of(base)._cfg_dict, config_of(f"ablations/{ablation}")._cfg_dict
    found = {key: value for key, before, value in differences(first, second) if before != value}
    del found["work_dir"]
    if changed == {"model.losses.mcl": "of mclnet_ade20k"}:
        changed = {"model.losses.mcl": config_of("mclnet_ade20k").model.losses.mcl}
    assert found == changed


@pytest.mark.parametrize("method", ["mclnet", "cocosnet"])
def test_table_1_only_adds_metrics(method):
    first = config_of(f"{method}_ade20k")._cfg_dict
    second = config_of(f"ablations/table1_{method}")._cfg_dict
    found = {key: value for key, before, value in differences(first, second) if before != value}
    assert found.keys() == {"work_dir", "test_evaluator"}
    ours = found["test_evaluator"]
    assert ours[:2] == first["test_evaluator"]
    keys = {key for entry in ours for key in METRICS.get(entry["type"]).protocols}
    matrix = read_matrix(CONFIGS / "ablations" / "ade20k.yaml")
    assert {column.metric for column in matrix.columns} <= keys
    inception, *vgg = (entry["weights"] for entry in ours[2:])
    assert (inception, vgg) == ("torch-fidelity", ["torchvision"] * 2)
    options = {"test_evaluator.2.weights": "i.pth", "test_evaluator.3.weights": "v.pth"}
    tested = load_config(CONFIGS / f"ablations/table1_{method}.py", options).test_evaluator
    assert [e.get("weights") for e in tested[2:]] == ["i.pth", "v.pth", "torchvision"]
    beside = {column.published for column in matrix.columns} - {None}
    assert beside == set(matrix.published.columns)


def test_the_list_above_is_whole():
    marks = test_an_ablation_changes_what_it_names_and_nothing_else.pytestmark
    assert sorted(case[0] for case in marks[0].args[1]) == ABLATIONS
    assert {f"{name}.py" for name in RECIPES} <= {file.name for file in CONFIGS.glob("*.py")}


def test_the_contrastive_loss_is_the_same_with_and_without_the_rest_of_mclnet():
    full, alone = (config_of(n) for n in ("mclnet_ade20k", "ablations/ade20k_cocosnet_mcl"))
    assert alone.model.losses.mcl.to_dict() == full.model.losses.mcl.to_dict()


def random_batch(channels, labelled, count=2, size=32):
    """Label maps of 8 x 8 pixel tiles in 4 classes above 0, or dense maps."""
    classes = torch.randint(1, 5, (2, count, size // 8, size // 8))
    labels, exemplar_labels = classes.repeat_interleave(8, 2).repeat_interleave(8, 3)
    dense = torch.rand(2, count, channels, size, size)
    images = torch.rand(2, count, 3, size, size) * 2 - 1
    batch = Batch(
        names=[f"sample {i}" for i in range(count)],
        exemplar=images[0],
        paired=torch.ones(count, dtype=torch.bool),
        truth=images[1],
    )
    if labelled:
        batch.labels, batch.exemplar_labels = labels, exemplar_labels
    else:
        batch.condition, batch.exemplar_condition = dense
    return batch


@pytest.mark.parametrize("name", SHIPPED)
def test_every_config_trains_at_reduced_size(name):
    """Every loss that is on is logged and moves the translator, both optimisers step, and every
    parameter gets a gradient."""
    config = shrunk(name)
    model = MODELS.build(config.model).train()
    wrappers = {k: v for k, v in config.optim_wrapper.items() if k != "constructor"}
    optimisers = GANOptimWrapperConstructor(wrappers)(model)
    on = {name for name, term in config.model.losses.items() if term is not None}
    batch = random_batch(config.model.condition_channels, labelled="mask" in on)

    _, losses = model.generator_losses(model.data_preprocessor(batch, True))
    assert set(losses) == on
    assert dead_losses(losses, list(model.translator.parameters())) == []

    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    reached = set()
    for key, parameter in model.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, key=key: reached.add(key))
    log = model.train_step(batch, optimisers)
    adversarial = {"loss_d_adv"} if "adv" in on else set()
    assert set(log) == {"loss"} | {f"loss_{name}" for name in on} | adversarial
    assert all(torch.isfinite(value) for value in log.values())
    moved = {key.split(".")[0] for key, p in model.named_parameters() if not p.equal(before[key])}
    assert moved >= {"translator"} | ({"discriminator"} if adversarial else set())
    assert (model.discriminator is None) == ("adv" not in on)
    idle = {key for key, p in model.named_parameters() if p.requires_grad} - reached
    assert not idle, "DistributedDataParallel waits for the gradients of all parameters"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_data_set_takes_its_settings(name):
    config = config_of(name)
    DATASETS.import_from_location()
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        settings = dict(config[loader].dataset)
        kind = settings.pop("type")
        inspect.signature(DATASETS.get(kind)).bind(**settings)


def test_explained_at_full_size():
    parts = {part.name: part for part in explain(CONFIGS / "cocosnet_ade20k.py").parts}
    for part, module in full_size("cocosnet_ade20k").named_children():
        assert parts[part].parameters == count(module)
    grid = "64 x 64"
    assert parts["condition_encoder"].output == f"256 x {grid}"
    assert parts["correspondence"].output == f"match {grid} to {grid}, warped 3 x 256 x 256"
    assert parts["generator"].output == "3 x 256 x 256"
    # two scales of 4x4 convolutions and one attention of width 256; 6.9 M with the released
    # decoder that no forward pass uses
    widths = (154, 64, 128, 256, 512, 1)
    convolutions = sum(16 * a * b for a, b in itertools.pairwise(widths)) + 64 + 1
    attention = 2 * 256 * 32 + 2 * 256 * 128 + 1
    assert parts["discriminator"].parameters == 2 * (convolutions + attention)
