import io
import itertools
import re
from pathlib import Path

import pytest

from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.explain import explain, image_size
from mcltoolkit.engine.explain_tables import print_differences, print_explanation
from mcltoolkit.engine.provenance import ABSENT
from mcltoolkit.errors import ConfigError, UnknownComponentError


@pytest.fixture(scope="module")
def tiny():
    return explain(Path(__file__).parents[1] / "configs" / "tiny_scenes.py")


def parts(explanation):
    return {part.name: part for part in explanation.parts}


def test_parameters_are_those_of_the_built_model(tiny, tiny_gan):
    model = tiny_gan()
    children = {**dict(model.translator.named_children()), "discriminator": model.discriminator}
    assert {name: part.parameters for name, part in parts(tiny).items()} == {
        name: sum(p.numel() for p in child.parameters()) for name, child in children.items()
    }
    heads = {name: sum(p.numel() for p in t.parameters()) for name, t in model.losses.terms.items()}
    assert {term.name: term.parameters for term in tiny.terms} == heads
    assert heads["mcl"] > 0


def test_shapes_follow_the_formulas(tiny_config):
    """Encoders halve twice and end in 4w channels; a 4x4 convolution of stride s, pad 1 takes n to
    (n - 2) // s + 1, the second scale sees half the image."""
    height, width = 48, 32
    found = parts(explain(tiny_config, size=(height, width)))
    grid = f"{height // 4} x {width // 4}"
    assert found["condition_encoder"].output == f"16 x {grid}"
    assert found["image_encoder"].output == f"16 x {grid}"
    assert found["self_correlation"].output == f"8 x {grid}"
    warped = f"warped 3 x {height} x {width}"
    assert found["correspondence"].output == f"match {grid} to {grid}, {warped}"
    assert found["generator"].output == f"3 x {height} x {width}"

    def score(n):
        for stride in (2, 2, 1, 1):
            n = (n - 2) // stride + 1
        return n

    scales = [f"1 x {score(height // k)} x {score(width // k)}" for k in (1, 2)]
    assert found["discriminator"].output == "scores " + " and ".join(scales)


def test_the_size_is_the_data_sets(tiny, root):
    assert tiny.size == (32, 32)
    assert tiny.device == "meta"
    assert image_size(load_config(root / "configs/mclnet_camvid.py")) == (64, 96)
    assert image_size(load_config(root / "configs/mclnet_ade20k.py")) == (256, 256)


def test_losses_have_their_weights_and_what_they_read(tiny):
    found = {term.name: (term.weight, term.component) for term in tiny.terms}
    assert found == {
        "adv": (0.5, "HingeAdversarialLoss"),
        "feature_matching": (2.0, "FeatureMatchingLoss"),
        "pse": (20.0, "PixelPseudoPairLoss"),
        "cyc": (1.0, "CycleLoss"),
        "mcl": (1.0, "MarginalContrastiveLoss"),
        "mask": (1.0, "MaskLoss"),
    }
    assert tiny.off == ["per", "cxt", "fcst"]
    reads = {term.name: term.reads for term in tiny.terms}
    assert reads["cyc"] == ("cycle",)
    assert reads["pse"] == ("truth", "paired samples only")
    assert {part.plugin for part in tiny.parts} == {term.plugin for term in tiny.terms}
    assert {part.plugin for part in tiny.parts} == {"mcltoolkit"}


def test_training_in_lines(tiny):
    assert tiny.training["training data"] == (
        "SyntheticScenes (mcltoolkit): split train, batches of 2 a process"
    )
    generator = sum(p.parameters for p in tiny.parts if p.name != "discriminator")
    generator += sum(term.parameters for term in tiny.terms)
    assert tiny.training["generator optimiser"] == (
        f"Adam (torch): lr 0.001, betas (0.5, 0.999), on {generator:,} parameters"
    )
    assert "max_iters 6" in tiny.training["length"]
    assert "constant 0.5" in tiny.training["rate"]
    assert "GridHook (mcltoolkit)" in tiny.training["hooks"]


def test_schedules_by_side_and_an_evaluator_are_unfolded(tiny_config, tmp_path):
    config = tmp_path / "several.py"
    config.write_text(
        f"_base_ = {str(tiny_config)!r}\n"
        "one = dict(type='ConstantThenLinearLR', by_epoch=False)\n"
        "sides = dict(generator=[one], discriminator=[dict(steps=2, **one)])\n"
        "param_scheduler = dict(_delete_=True, **sides)\n"
        "test_evaluator = dict(_delete_=True, metrics=[dict(type='MatchEntropy')])\n"
    )
    training = explain(config).training
    rate = "ConstantThenLinearLR (mcltoolkit)"
    assert training["rate"] == (f"{rate}: by_epoch False; {rate}: steps 2, by_epoch False")
    assert training["metrics"] == "MatchEntropy (mcltoolkit)"


def test_unset_weights_are_said_and_not_needed(tiny_config):
    options = {
        "model.vgg": {"type": "VGG19Features", "weights": None},
        "model.losses.per": {"type": "PerceptualLoss"},
    }
    found = explain(tiny_config, options)
    vgg = parts(found)["vgg"]
    assert vgg.output == "relu5_2; fixed, weights: not set"
    assert vgg.parameters is None
    assert {t.name: t.reads for t in found.terms}["per"] == ("truth", "relu5_2")


def test_a_discriminator_that_no_loss_reads_is_said(tiny_config):
    off = {"model.losses.adv": None, "model.losses.feature_matching": None}
    found = explain(tiny_config, off)
    assert parts(found)["discriminator"].output == "not built: no loss reads it"
    assert found.off[:2] == ["adv", "feature_matching"]
    assert found.training["discriminator optimiser"].startswith("not used")


def test_a_component_that_cannot_run_on_meta_runs_on_the_cpu(tiny_config, tmp_path, monkeypatch):
    (tmp_path / "reads_values.py").write_text(
        "from mcltoolkit import ENCODERS, hookimpl\n"
        "from mcltoolkit.encoders import DomainEncoder\n\n\n"
        "@ENCODERS.register_module()\n"
        "class PeekingEncoder(DomainEncoder):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) * (1 + float(x.sum()))\n\n\n"
        "@hookimpl\n"
        "def register_components():\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MCLTOOLKIT_PLUGINS", "")
    config = tmp_path / "peeking.py"
    config.write_text(
        f"_base_ = {str(tiny_config)!r}\nplugins = ['reads_values']\n"
        "model = dict(image_encoder=dict(type='PeekingEncoder'))\n"
    )
    found = explain(config)
    assert found.device == "cpu"
    part = parts(found)["image_encoder"]
    assert (part.plugin, part.output) == ("reads_values", "16 x 8 x 8")
    assert parts(found)["condition_encoder"].plugin == "mcltoolkit"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model.generator.type": "SPADEGenerater"}, UnknownComponentError, "SPADEGenerator"),
        ({"model.losses.cyc.type": "CycelLoss"}, UnknownComponentError, "CycleLoss"),
        ({"model.vgg": {"type": "VGG"}}, UnknownComponentError, "VGG19Features"),
        ({"train_dataloader.dataset.type": "Scenes"}, UnknownComponentError, "SyntheticScenes"),
        ({"model.generator.wdth": 3}, ConfigError, "model.generator"),
        ({"model.wdth": 3}, ConfigError, "wdth"),
        ({"optim_wrapper.generator.optimizer.type": "Adamm"}, UnknownComponentError, "Adam"),
        ({"custom_hooks.0.type": None}, ConfigError, "it needs a 'type'"),
        ({"test_dataloader.dataset.size": (30, 30)}, ConfigError, "30"),
    ],
)
def test_a_bad_config_is_named(tiny_config, options, error, message):
    with pytest.raises(error, match=message):
        explain(tiny_config, options)


def test_a_piece_and_an_unknown_size_are_named(root, tiny_config):
    with pytest.raises(ConfigError, match="no `model` to explain"):
        explain(root / "configs/_base_/runtime.py")
    config = load_config(tiny_config)
    for name in ("train", "val", "test"):
        del config[f"{name}_dataloader"].dataset["size"]
    with pytest.raises(ConfigError, match="give --size HEIGHT WIDTH"):
        image_size(config)


def cells(text):
    """The tables of a Markdown text, each a list of rows."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]
    groups = itertools.groupby(zip(text.splitlines(), rows, strict=True), lambda x: x[0][:1] == "|")
    return [[row for _, row in group] for is_table, group in groups if is_table]


def test_a_file_gets_whole_lines(tiny):
    file = io.StringIO()
    print_explanation(tiny, file)
    model, losses, training, settings = cells(file.getvalue())
    assert [row[0] for row in model[2:]] == [part.name for part in tiny.parts]
    assert ["cyc", "1", "CycleLoss", "mcltoolkit", "0", "cycle"] in losses
    assert [row[0] for row in losses[-3:]] == ["per", "cxt", "fcst"]
    assert {row[1] for row in losses[-3:]} == {"off"}
    assert [row[0] for row in training[2:]] == list(tiny.training)
    assert [row[:1] + row[-1:] for row in settings[2:]] == [
        [s.key, repr(s.value)] for s in tiny.settings
    ]
    assert "…" not in file.getvalue()


def test_a_terminal_wraps_and_cuts_nothing(tiny, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    file = Terminal()
    print_explanation(tiny, file)
    printed = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())
    assert max(map(len, printed.splitlines())) <= 100
    assert "…" not in printed
    assert "condition_encoder" in printed


def test_differences_as_a_table():
    file = io.StringIO()
    print_differences(("a.py", "b.py"), [("x.y", None, "word"), ("z", ABSENT, 2)], file)
    (table,) = cells(file.getvalue())
    assert table[0] == ["setting", "a.py", "b.py"]
    assert table[2:] == [["x.y", "None", "'word'"], ["z", "(absent)", "2"]]
