import copy
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch.utils._python_dispatch import TorchDispatchMode

from mcltoolkit import context
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.losses import CycleLoss

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def losses_of(config):
    """Names of the losses that a shipped config trains with."""
    losses = Config.fromfile(CONFIGS / config).model.losses
    return [name for name, loss in losses.items() if loss is not None and loss.weight]


SCENES = losses_of("mclnet_scenes.py")
ADE20K = losses_of("mclnet_ade20k.py")
SMALL_ADE20K = {
    "model.condition_channels": 6,
    "model.condition_encoder.base_width": 4,
    "model.condition_encoder.spade_hidden": 4,
    "model.condition_encoder.spade_blocks": 1,
    "model.image_encoder.base_width": 4,
    "model.image_encoder.spade_hidden": 4,
    "model.image_encoder.spade_blocks": 1,
    "model.self_correlation.pooled": 4,
    "model.self_correlation.hidden": 8,
    "model.self_correlation.out_channels": 8,
    "model.correspondence.embed": 8,
    "model.correspondence.blocks": 1,
    "model.generator.base_width": 4,
    "model.generator.ups": 2,
    "model.generator.spade_hidden": 4,
    "model.discriminator.base_width": 4,
    "model.discriminator.layers": 3,
    "model.vgg.width_divisor": 16,
    "model.losses.mcl.hidden": 8,
}


def optimisers(model, rate=1e-2):
    side = {"optimizer": {"type": "SGD", "lr": rate}}
    return GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model)


def parameters(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.fixture
def ade20k(tiny_gan):
    def build(options):
        file = CONFIGS / "mclnet_ade20k.py"
        return tiny_gan({**SMALL_ADE20K, **options}, file, vgg_weights="random")

    return build


def test_each_step_moves_its_own_side_and_only_that(tiny_gan, scenes):
    model = tiny_gan()
    wrappers = optimisers(model)
    changed, foreign = {}, {}

    def watch(side, others):
        wrapper = wrappers[side]
        update, backward = wrapper.update_params, wrapper.backward

        def watched_backward(loss):
            backward(loss)
            foreign[side] = [
                name
                for name, p in model.named_parameters()
                if name.split(".")[0] in others and p.grad is not None
            ]

        def watched_update(loss):
            before = parameters(model)
            update(loss)
            after = parameters(model)
            changed[side] = {name for name in after if not torch.equal(before[name], after[name])}

        wrapper.backward, wrapper.update_params = watched_backward, watched_update

    watch("generator", ("discriminator",))
    watch("discriminator", ("translator", "losses"))
    model.train_step(scenes(), wrappers)

    assert foreign == {"generator": [], "discriminator": []}
    moved = {".".join(name.split(".")[:2]) for name in changed["generator"]}
    parts = ("condition_encoder", "image_encoder", "self_correlation", "correspondence")
    assert moved == {f"translator.{p}" for p in (*parts, "generator")} | {"losses.terms"}
    moved = {".".join(name.split(".")[:3]) for name in changed["discriminator"]}
    assert moved == {"discriminator.scales.0", "discriminator.scales.1"}
    assert all(p.requires_grad for p in model.discriminator.parameters())


def test_both_steps_see_the_same_fake_which_is_made_once(tiny_gan, scenes):
    model, batch = tiny_gan(), scenes()
    made, judged = [], []
    model.translator.register_forward_hook(lambda m, args, out: made.append(out.fake))
    model.discriminator.register_forward_pre_hook(lambda m, args: judged.append(args))
    model.train_step(batch, optimisers(model))
    (fake,) = made
    assert len(judged) == 3
    one_hot = F.one_hot(batch.labels, 6).permute(0, 3, 1, 2).float()
    images = (fake, batch.truth, torch.cat([fake, batch.truth]))
    for (condition, image), expected in zip(judged, images, strict=True):
        assert torch.equal(image, expected)
        assert torch.equal(condition.dense(), one_hot)  # once for fake and real
    assert [image.requires_grad for _, image in judged] == [True, False, False]


def test_the_log_has_weighted_losses_their_sum_and_the_discriminators(tiny_gan, scenes):
    logs = []
    for weight in (1.0, 3.0):
        torch.manual_seed(5)
        model = tiny_gan({"model.losses.cyc.weight": weight})
        scores = []
        model.discriminator.register_forward_hook(
            lambda m, args, out, scores=scores: scores.append([s.detach() for s in out.scores])
        )
        logs.append(model.train_step(scenes(), optimisers(model)))
    light, heavy = logs
    assert light.keys() == {"loss", "loss_d_adv", *(f"loss_{name}" for name in SCENES)}
    for log in logs:
        total = sum(log[f"loss_{name}"] for name in SCENES)
        torch.testing.assert_close(log["loss"], total)
        assert not any(value.requires_grad for value in log.values())
    for name in SCENES:
        factor = 3.0 if name == "cyc" else 1.0
        torch.testing.assert_close(heavy[f"loss_{name}"], factor * light[f"loss_{name}"])
    hinge = sum((1 + s[:2]).relu().mean() + (1 - s[2:]).relu().mean() for s in scores[2]) / 2
    torch.testing.assert_close(heavy["loss_d_adv"], 0.5 * hinge)  # weighted as loss_adv is
    generator_side = -0.5 * sum(s[:2].mean() for s in scores[0]) / 2
    torch.testing.assert_close(heavy["loss_adv"], generator_side)


@pytest.mark.parametrize("off", [{"model.losses.cyc": None}, {"model.losses.cyc.weight": 0}])
def test_a_loss_that_is_off_is_not_computed(tiny_gan, scenes, monkeypatch, off):
    def refuse(self, translation):
        raise AssertionError("computed")

    monkeypatch.setattr(CycleLoss, "forward", refuse)
    model = tiny_gan(off)
    translation, losses = model.generator_losses(scenes().with_one_hot(6))
    assert sorted(losses) == sorted(set(SCENES) - {"cyc"})
    assert translation.alignment.cycle is None, "nor is what only this loss reads"
    with pytest.raises(AssertionError, match="computed"):
        tiny_gan().generator_losses(scenes().with_one_hot(6))


def without(name):
    """The dotted settings of an ablation; feature matching goes with the discriminator."""
    dropped = ("adv", "feature_matching") if name == "adv" else (name,)
    return {f"model.losses.{loss}": None for loss in dropped if loss}


def one_step(model, batch, left):
    before = parameters(model)
    log = model.train_step(batch, optimisers(model))
    side = {"loss_d_adv"} if "adv" in left else set()
    assert log.keys() == {"loss", *side, *(f"loss_{name}" for name in left)}
    assert all(value.isfinite() for value in log.values())
    assert (model.discriminator is not None) == ("adv" in left)
    after = parameters(model)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


@pytest.mark.parametrize("name", ["", *SCENES])
def test_scenes_train_without_any_one_loss(tiny_gan, scenes, name):
    off = without(name)
    left = {loss for loss in SCENES if f"model.losses.{loss}" not in off}
    one_step(tiny_gan(off), scenes(), left)


@pytest.mark.parametrize("name", ["", *ADE20K])
def test_the_full_objective_trains_without_any_one_loss(ade20k, scenes, name):
    off = without(name)
    left = {loss for loss in ADE20K if f"model.losses.{loss}" not in off}
    model = ade20k(off)
    assert bool(model.losses._features) == bool(left & {"per", "cxt", "pse"})
    one_step(model, scenes(2, (64, 64)), left)


@pytest.mark.parametrize("mixed", [[True, False], [False, False]])
def test_unpaired_samples_train_too(ade20k, scenes, mixed):
    one_step(ade20k({}), scenes(2, (32, 64), paired=torch.tensor(mixed)), set(ADE20K))


def test_the_shipped_objectives_are_the_papers():
    paper = {"adv", "per", "cxt", "pse", "fcst", "cyc", "mcl"}
    assert set(ADE20K) == paper | {"feature_matching", "mask"}
    assert {"adv", "pse", "cyc", "mcl", "mask"} <= set(SCENES)


def test_feature_matching_alone_has_nothing_to_match(tiny_gan):
    with pytest.raises(ConfigError, match=r"\['feature_matching'\] read the discriminator"):
        tiny_gan({"model.losses.adv": None})


def test_a_discriminator_that_is_needed_must_be_configured(tiny_gan):
    with pytest.raises(ConfigError, match=r"\['adv', 'feature_matching'\] need a discriminator"):
        tiny_gan({"model.discriminator": None})


def test_training_without_any_loss_is_an_error(tiny_gan, scenes):
    model = tiny_gan({f"model.losses.{name}": None for name in SCENES})
    with pytest.raises(ConfigError, match=r"model\.losses"):
        model.train_step(scenes(), optimisers(model))
    assert len(model.test_step(scenes())) == 2, "translating needs none"


@pytest.mark.parametrize(
    ("missing", "losses"),
    [
        ("exemplar_labels", r"\['mask'\]"),
        ("truth", r"\[.*'adv', 'feature_matching', .*'mcl'.*\]"),
    ],
)
def test_data_that_the_losses_need(tiny_gan, scenes, missing, losses):
    batch = scenes()
    with pytest.raises(ConfigError, match=rf"losses {losses} need '{missing}'.*train_000000"):
        tiny_gan().generator_losses(replace(batch, **{missing: None}).with_one_hot(6))


def test_the_checkpoint_is_plain_and_has_no_feature_network(ade20k, scenes):
    model = ade20k({})
    state = model.state_dict()
    roots = {name.split(".")[0] for name in state}
    assert roots == {"translator", "discriminator", "losses"}
    assert {name.split(".")[2] for name in state if name.startswith("losses.")} == {"mcl"}
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    torch.manual_seed(7)
    other = ade20k({}).eval()
    batch = scenes(1, (32, 32))
    untrained = other.test_step(batch)[0].fake
    other.load_state_dict(torch.load(file, weights_only=True))
    expected = model.eval().test_step(batch)[0].fake
    assert torch.equal(other.test_step(batch)[0].fake, expected)
    assert not torch.equal(untrained, expected)


def test_predictions_are_per_sample_and_without_graph(tiny_gan, scenes):
    model, batch = tiny_gan().eval(), scenes(3, paired=torch.tensor([True, False, True]))
    predictions = model.val_step(batch)
    translation = model(batch.with_one_hot(6))
    assert [p.name for p in predictions] == batch.names
    assert [p.paired for p in predictions] == [True, False, True]
    for i, prediction in enumerate(predictions):
        assert prediction.index == i
        assert not prediction.fake.requires_grad
        torch.testing.assert_close(prediction.fake, translation.fake[i])
        torch.testing.assert_close(prediction.warped, translation.alignment.warped[i])
        assert torch.equal(prediction.truth, batch.truth[i])
        assert torch.equal(prediction.labels, batch.labels[i])
        assert prediction.exemplar_name == batch.exemplar_names[i]
        torch.testing.assert_close(prediction.warped_labels.sum(0), torch.ones(8, 8))


def test_predictions_without_truth_and_exemplar_labels(tiny_gan, scenes):
    model = tiny_gan({"model.correspondence.mask_mix": False, "model.losses.mask": None}).eval()
    (prediction,) = model.test_step(scenes(1, truth=None, exemplar_labels=None))
    assert prediction.truth is None
    assert prediction.warped_labels is None
    assert prediction.fake.shape == (3, 32, 32)


def test_labels_outside_the_range_are_refused_before_the_device(tiny_gan, scenes):
    labels = torch.full((2, 32, 32), 6)
    with pytest.raises(DataError, match=r"train_000000.*6\.\.6.*0\.\.5"):
        tiny_gan().test_step(scenes(labels=labels))


@pytest.mark.parametrize("norm", ["instance", "pono", "bn", "syncbn"])
def test_the_discriminator_of_the_generators_step_judges_as_in_one_batch(tiny_gan, scenes, norm):
    model = tiny_gan({"model.discriminator.norm": norm})
    joint = copy.deepcopy(model.discriminator).requires_grad_(False)
    batch = scenes().with_one_hot(6)
    passes = []
    model.discriminator.register_forward_hook(lambda *args: passes.append(args))
    translation, _ = model.generator_losses(batch)
    assert len(passes) == (1 if norm in ("bn", "syncbn") else 2)
    condition = torch.cat([batch.condition, batch.condition])
    expected = joint(condition, torch.cat([translation.fake, batch.truth]))
    ours, theirs = [], []
    for fake, real, both in zip(
        translation.fake_pass.scales, translation.real_pass.scales, expected.scales, strict=True
    ):
        for one, other, joined in zip(fake, real, both, strict=True):
            torch.testing.assert_close(torch.cat([one, other]), joined, atol=1e-5, rtol=1e-5)
            assert not other.requires_grad
            ours.append(one)
            theirs.append(joined.chunk(2)[0])
    torch.testing.assert_close(
        model.discriminator.state_dict(), joint.state_dict(), atol=1e-6, rtol=1e-5
    )
    grads = [
        torch.autograd.grad(sum(x.square().mean() for x in maps), translation.fake)[0]
        for maps in (ours, theirs)
    ]
    torch.testing.assert_close(*grads, atol=1e-6, rtol=1e-4)
    assert all(p.requires_grad for p in model.discriminator.parameters())


class NothingRead(TorchDispatchMode):
    """Fails where a value of a tensor decides something on the host, which has to wait for the
    device then."""

    READ = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "_unique2", "masked_select")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split("::")[1].split(".")[0]
        assert name not in self.READ, f"{func} reads a value back from the device"
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_back_from_the_device(ade20k, scenes, monkeypatch):
    model = ade20k({})
    steps = optimisers(model)
    batch = model.data_preprocessor(scenes(2, (32, 64)), True)  # on the CPU, where it is checked
    monkeypatch.setattr(type(model.data_preprocessor), "forward", lambda self, data, _: data)
    with NothingRead():
        model.train_step(batch, steps)


def test_ids_and_dense_conditions_train_alike(tiny_gan, scenes, monkeypatch):
    """Losses and gradients; the ids are convolved as ids, however few classes there are."""
    monkeypatch.setattr(context, "FEW_CHANNELS", 0)
    batch = scenes().map_tensors(lambda t: t.double() if t.is_floating_point() else t)
    batch = batch.with_one_hot(6)
    dense = batch.changed(
        condition=batch.condition.double(), exemplar_condition=batch.exemplar_condition.double()
    )
    found = []
    for given in (batch, dense):
        torch.manual_seed(1)
        model = tiny_gan().double()
        translation, losses = model.generator_losses(given)
        sum(losses.values()).backward()
        terms = model.discriminator_losses(given, translation.fake)
        sum(terms.values()).backward()
        found.append(({**losses, **terms}, {n: p.grad for n, p in model.named_parameters()}))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-10, atol=1e-10)
    for name, grad in found[0][1].items():
        torch.testing.assert_close(grad, found[1][1][name], rtol=1e-7, atol=1e-9, msg=name)


def test_a_discriminator_that_does_not_take_ids_gets_dense_conditions_for_all(tiny_gan, scenes):
    model, batch, judged = tiny_gan(), scenes(), []
    model.discriminator.__class__ = type(
        "Foreign", (type(model.discriminator),), {"takes_context": False}
    )
    model.discriminator.register_forward_pre_hook(lambda m, args: judged.append(args[0]))
    model.discriminator_losses(batch.with_one_hot(6), batch.truth)
    one_hot = F.one_hot(batch.labels, 6).permute(0, 3, 1, 2).float()
    assert torch.equal(judged[0], torch.cat([one_hot, one_hot]))


def test_a_step_makes_no_dense_condition(tiny_gan, scenes, monkeypatch):
    monkeypatch.setattr(context, "FEW_CHANNELS", 0)
    made, dense = [], context.OneHot.dense
    monkeypatch.setattr(
        context.OneHot, "dense", lambda self, *a: made.append(self.ids.shape) or dense(self, *a)
    )
    model, batch = tiny_gan(), scenes()
    model.train_step(batch, optimisers(model))
    height, width = batch.labels.shape[-2:]
    assert all(h <= height // 4 and w <= width // 4 for _, h, w in made)
