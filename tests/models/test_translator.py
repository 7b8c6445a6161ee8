import pytest
import torch

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.models import translator as module

ALL = frozenset({"truth_features", "warped_labels", "cycle"})
DEFAULT = {"pooled": 4, "hidden": 8, "out_channels": 8, "type": "SelfCorrelationMap"}


@pytest.fixture
def build(tiny_gan):
    def make(options=None):
        return tiny_gan(options).translator.eval()

    return make


@pytest.mark.parametrize(("self_correlation", "described"), [(DEFAULT, 16 + 8), (None, 16)])
def test_shapes_on_64x96_images(build, scenes, self_correlation, described):
    translator = build({"model.self_correlation": self_correlation})
    out = translator(scenes(2, (64, 96)).with_one_hot(6), ALL, progress=0.25)
    assert translator.feature_channels == 16, "four times the base width"
    assert translator.descriptor_channels == described
    assert out.fake.shape == out.alignment.warped.shape == (2, 3, 64, 96)
    assert out.fake.abs().max() <= 1
    assert out.alignment.warped_labels.shape == (2, 6, 16, 24)
    assert out.alignment.cycle.shape == out.alignment.cycle_target.shape == (2, 3, 16, 24)
    assert out.progress == 0.25
    for side in ("condition", "exemplar", "truth"):
        features = getattr(out, f"{side}_features")
        descriptors = getattr(out, f"{side}_descriptors")
        assert features.shape == (2, 16, 16, 24)
        assert descriptors.shape == (2, described, 16, 24)
        torch.testing.assert_close(features.norm(dim=1), torch.ones(2, 16, 24))
        assert torch.equal(descriptors[:, :16], features)
        if described > 16:
            torch.testing.assert_close(descriptors[:, 16:].norm(dim=1), torch.ones(2, 16, 24))


def test_only_the_outputs_asked_for_are_made(build, scenes):
    out = build()(scenes().with_one_hot(6))
    assert out.truth_features is None
    assert out.truth_descriptors is None
    assert out.alignment.warped_labels is None
    assert out.alignment.cycle is None


def test_the_truth_goes_through_the_exemplars_encoder(build, scenes):
    out = build()(scenes().as_paired().with_one_hot(6), ALL)
    torch.testing.assert_close(out.truth_features, out.exemplar_features)
    torch.testing.assert_close(out.truth_descriptors, out.exemplar_descriptors)


def test_a_batch_without_truth_is_translated_the_same(build, scenes):
    translator = build()
    given = translator(scenes().with_one_hot(6), ALL)
    lacking = translator(scenes(truth=None).with_one_hot(6), ALL)
    assert lacking.truth_features is None
    assert torch.equal(lacking.fake, given.fake)


def test_each_sample_is_translated_on_its_own(build, scenes):
    translator = build()
    pair = translator(scenes(2).with_one_hot(6)).fake
    first = translator(scenes(1).with_one_hot(6)).fake
    torch.testing.assert_close(pair[:1], first, rtol=1e-4, atol=1e-5)


def test_a_dense_condition_is_the_same_as_its_labels(build, scenes):
    translator = build({"model.correspondence.mask_mix": False})
    labels = scenes().with_one_hot(6)
    dense = scenes(
        labels=None, exemplar_labels=None, condition=labels.condition, exemplar_condition=None
    )
    assert torch.equal(translator(dense.with_one_hot(6)).fake, translator(labels).fake)


def test_the_output_depends_on_condition_and_exemplar(build, scenes):
    batch = scenes().with_one_hot(6)
    batch.exemplar.requires_grad_()
    batch.condition.requires_grad_()
    build()(batch).fake.square().mean().backward()
    assert batch.exemplar.grad.abs().sum() > 0
    assert batch.condition.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"model.image_encoder.base_width": 8}, "out_channels 16, model.image_encoder has 32"),
        ({"model.condition_encoder.second_stride": 1}, "stride 2, model.image_encoder has 4"),
    ],
)
def test_encoders_that_do_not_fit_each_other(build, setting, words):
    with pytest.raises(ConfigError, match=rf"model.condition_encoder has {words}.*set both"):
        build(setting)


def test_one_sided_settings_that_still_fit_are_taken(build, scenes):
    translator = build(
        {"model.image_encoder.base_width": 8, "model.image_encoder.out_channels": 16}
    )
    assert translator(scenes().with_one_hot(6)).fake.shape == (2, 3, 32, 32)


def test_sizes_that_the_networks_cannot_take(build, scenes):
    with pytest.raises(ConfigError, match="34"):
        build()(scenes(1, (34, 32)).with_one_hot(6))


def test_mask_mix_needs_the_exemplars_condition(build, scenes):
    with pytest.raises(DataError, match="mask_mix"):
        build()(scenes(exemplar_labels=None).with_one_hot(6))


class Positions(torch.nn.Module):
    """An encoder that tells each grid cell its content and its place, as padding does."""

    out_channels, stride = 3, 4

    def forward(self, x):
        content = torch.nn.functional.avg_pool2d(x[:, :1], 4)
        rows, columns = torch.meshgrid(*map(torch.arange, content.shape[-2:]), indexing="ij")
        place = torch.stack([rows, columns]).to(content).expand(len(x), -1, -1, -1)
        return torch.cat([100 * content, place + 1], dim=1)


def test_a_shifted_truth_keeps_its_content_in_place_but_not_its_position(build, scenes):
    """Features of the shifted truth, moved back: content as without the shift, place by modular
    arithmetic."""
    translator = build({"model.self_correlation": None})
    translator.image_encoder, translator.shift_truth = Positions(), True
    truth = scenes(2, (32, 48)).truth
    plain = translator._encode_truth(truth)
    assert torch.equal(plain, Positions()(truth)), "evaluation does not shift"
    translator.train()
    shifts = set()
    for _ in range(20):
        features = translator._encode_truth(truth)
        torch.testing.assert_close(features[:, 0], plain[:, 0])
        down, right = (int(v) for v in features[0, 1:, 0, 0] - 1)
        rows, columns = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
        assert torch.equal(features[0, 1], ((rows + down) % 8 + 1.0))
        assert torch.equal(features[0, 2], ((columns + right) % 12 + 1.0))
        shifts.add((down, right))
    assert len(shifts) > 10


def test_the_shift_is_off_by_default_and_set_by_the_models_config(tiny_gan):
    assert not tiny_gan().translator.shift_truth
    assert tiny_gan({"model.shift_truth": True}).translator.shift_truth


def test_painting_without_gradient_has_the_memory_of_the_match(build, scenes, monkeypatch):
    translator = build()
    batch = scenes(1, (64, 64)).with_one_hot(6)
    events = []
    monkeypatch.setattr(module, "give_back", events.append)
    translator.generator.register_forward_pre_hook(lambda *_: events.append("paints"))
    for grad in (True, False):
        events.clear()
        with torch.set_grad_enabled(grad):
            alignment = translator(batch).alignment
            alignment.match.release = lambda: events.append("released")
            events.clear()
            translator.paint(alignment, batch.given_condition)
        expected = ["paints"] if grad else ["released", torch.device("cpu"), "paints"]
        assert events == expected
