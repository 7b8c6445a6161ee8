import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.correspondence import CosineCorrespondence
from mcltoolkit.errors import ConfigError
from mcltoolkit.inference import Exemplar, load_model, translate, translate_each
from mcltoolkit.inference.model import reads_exemplar_condition
from mcltoolkit.structures import Batch


@pytest.fixture
def model(ade20k):
    return load_model(ade20k, "cpu")


@pytest.fixture
def counted(model, monkeypatch):
    """How often each network ran, by name."""
    counts = {}
    for name in ("image_encoder", "condition_encoder", "generator"):
        part = getattr(model.translator, name)
        part.register_forward_hook(
            lambda *_, name=name: counts.update({name: counts.get(name, 0) + 1})
        )
    features = CosineCorrespondence.features

    def counting(self, *arguments):
        counts["features"] = counts.get("features", 0) + 1
        return features(self, *arguments)

    monkeypatch.setattr(CosineCorrespondence, "features", counting)
    return counts


def conditions(count, size=(64, 64)):
    rng = np.random.default_rng(5)
    cells = rng.integers(7, size=(count, size[0] // 8, size[1] // 8), dtype=np.uint8)
    return list(cells.repeat(8, 1).repeat(8, 2))


def test_an_exemplar_is_encoded_once_for_many_conditions(model, counted, files):
    _, exemplar, theirs = files()
    results = translate(conditions(5), exemplar, model, exemplar_condition=theirs)
    assert len(results) == 5
    assert counted == {
        "image_encoder": 1, "condition_encoder": 5, "generator": 5, "features": 1 + 5,
    }  # fmt: skip
    one = Exemplar(np.array(Image.open(exemplar)), np.array(Image.open(theirs)))
    translate(conditions(1), one, model)
    assert counted["image_encoder"] == 1, "the same pixels from an array"
    translate(conditions(1), one, model, size=(32, 64))
    assert counted["image_encoder"] == 2, "another size"
    other = Exemplar(one.picture, 6 - one.condition)
    translate(conditions(1), other, model)
    assert counted["image_encoder"] == 3, "other labels"


@pytest.mark.parametrize("size", [(64, 64), (50, 37)])
def test_results_are_bit_equal_with_and_without_the_cache(model, files, size):
    _, exemplar, theirs = files()
    options = {"exemplar_condition": theirs, "size": size}
    cached = translate(conditions(3), exemplar, model, **options)
    model.exemplars.limit = 0
    model.exemplars.clear()
    assert len(model.exemplars) == 0
    for condition, before in zip(conditions(3), cached, strict=True):
        alone = translate(condition, exemplar, model, **options)
        assert torch.equal(alone.prediction.fake, before.prediction.fake)
        assert torch.equal(alone.prediction.warped, before.prediction.warped)
    assert len(model.exemplars) == 0


def test_the_split_gives_what_the_forward_pass_gives(model, files):
    _, exemplar, theirs = files()
    (condition,) = conditions(1)
    labels = torch.from_numpy(np.array(Image.open(theirs))).long()[None]
    pixels = torch.from_numpy(np.array(Image.open(exemplar))).permute(2, 0, 1)[None]
    batch = Batch(
        names=["a"],
        exemplar=pixels.float() / 127.5 - 1,
        paired=torch.tensor([False]),
        labels=torch.from_numpy(condition).long()[None],
        exemplar_labels=labels,
    )
    with torch.no_grad():
        whole = model.translator(batch.with_one_hot(7))
    found = translate(condition, exemplar, model, exemplar_condition=theirs).prediction
    assert torch.equal(found.fake, whole.fake[0])
    assert torch.equal(found.warped, whole.alignment.warped[0])
    assert torch.equal(found.match.probabilities(), whole.alignment.match.probabilities())


def test_a_correspondence_that_prepares_nothing_gives_the_same(model, files, monkeypatch):
    """As one of a third party: without `prepare_exemplar`, or with a `forward` that knows none."""
    _, exemplar, theirs = files()
    (condition,) = conditions(1)
    expected = translate(condition, exemplar, model, exemplar_condition=theirs).array
    forward = CosineCorrespondence.forward

    def old_forward(self, ours, theirs, batch, outputs=frozenset()):
        return forward(self, ours, theirs, batch, outputs)

    monkeypatch.setattr(CosineCorrespondence, "forward", old_forward)
    assert not model.translator.prepares_exemplars
    model.exemplars.clear()
    found = translate(condition, exemplar, model, exemplar_condition=theirs).array
    assert np.array_equal(found, expected)


def test_the_condition_of_an_exemplar_is_filled_in_and_given_once(model, files):
    condition, exemplar, theirs = files()
    other = 6 - np.array(Image.open(theirs))
    expected = translate(condition, Exemplar(exemplar, theirs), model).array
    found = translate(condition, Exemplar(exemplar), model, exemplar_condition=theirs).array
    assert np.array_equal(found, expected)
    assert not np.array_equal(
        translate(condition, exemplar, model, exemplar_condition=other).array, expected
    )
    with pytest.raises(ConfigError, match=r"e\.png is an Exemplar with a condition of its own"):
        translate(condition, Exemplar(exemplar, theirs), model, exemplar_condition=other)


def test_changed_weights_are_encoded_anew(model, counted, files):
    condition, exemplar, theirs = files()
    options = {"exemplar_condition": theirs}
    before = translate(condition, exemplar, model, **options).array
    with torch.no_grad():
        for parameter in model.translator.image_encoder.parameters():
            parameter.mul_(
                torch.linspace(0.5, 1.5, len(parameter)).view(-1, *[1] * (parameter.ndim - 1))
            )
    after = translate(condition, exemplar, model, **options).array
    assert counted["image_encoder"] == 2
    assert not np.array_equal(before, after)
    model.exemplars.clear()
    assert np.array_equal(translate(condition, exemplar, model, **options).array, after)


def test_a_batch_may_mix_kinds_of_exemplar_conditions(model, files):
    _, exemplar, theirs = files()
    labels = np.array(Image.open(theirs))
    maps = np.eye(7, dtype=np.float32)[labels].transpose(2, 0, 1)
    photos = [Exemplar(exemplar, labels), Exemplar(exemplar, maps)]
    one, other = translate(conditions(1) * 2, photos, model, batch_size=2)
    assert np.array_equal(one.array, other.array)


class Coarse(torch.nn.Module):
    """A correspondence of which a part mixes the condition in."""

    def __init__(self, mask_mix):
        super().__init__()
        self.mask_mix = False
        self.coarse = CosineCorrespondence(4, 7, mask_mix=mask_mix, hidden=8, embed=4, blocks=1)


def test_a_part_of_a_correspondence_may_need_the_exemplar_s_condition():
    assert [reads_exemplar_condition(Coarse(mix)) for mix in (True, False)] == [True, False]
    for said in (True, False):
        module = Coarse(not said)
        module.needs_exemplar_condition = said
        assert reads_exemplar_condition(module) == said


def test_the_cache_is_bounded_and_forgets_the_oldest(model, counted, files):
    _, _, theirs = files()
    rng = np.random.default_rng(2)
    photos = list(rng.integers(256, size=(3, 64, 64, 3), dtype=np.uint8))
    model.exemplars.limit = 2
    translate(conditions(1), photos, model, exemplar_condition=[theirs] * 3)
    assert (len(model.exemplars), counted["image_encoder"]) == (2, 3)
    translate(conditions(1), photos[1:], model, exemplar_condition=[theirs] * 2)
    assert counted["image_encoder"] == 3
    translate(conditions(1), photos[:1], model, exemplar_condition=theirs)
    assert (len(model.exemplars), counted["image_encoder"]) == (2, 4)


def test_batches_give_what_single_translations_give(model, files):
    _, exemplar, theirs = files()
    photo = np.array(Image.open(exemplar))
    photos = [photo, photo[::-1].copy(), photo, photo[:, ::-1].copy()]
    given = [*conditions(3), *conditions(1, (32, 40))]
    options = {"exemplar_condition": [theirs] * 4}
    single = translate(given, photos, model, **options)
    batched = translate(given, photos, model, batch_size=8, **options)
    assert [r.size for r in batched] == [(64, 64)] * 3 + [(32, 40)]
    assert batched[0].prediction.match is batched[2].prediction.match
    assert batched[3].prediction.match is not batched[2].prediction.match
    for one, other in zip(single, batched, strict=True):
        torch.testing.assert_close(one.prediction.fake, other.prediction.fake, atol=1e-4, rtol=1e-4)
        assert one.prediction.index <= other.prediction.index
    streamed = translate_each(iter(given), photo, model, exemplar_condition=theirs)
    assert np.array_equal(next(streamed).array, single[0].array)


def test_lists_are_spread_and_their_lengths_checked(model, files):
    condition, exemplar, theirs = files()
    photo = np.array(Image.open(exemplar))
    options = {"exemplar_condition": theirs}
    assert not isinstance(translate(condition, exemplar, model, **options), list)
    assert len(translate([condition], exemplar, model, **options)) == 1
    two = translate(condition, [exemplar, 255 - photo], model, exemplar_condition=[theirs] * 2)
    assert len(two) == 2
    assert not np.array_equal(two[0].array, two[1].array)
    with pytest.raises(ConfigError, match="2 exemplars for 3 translations"):
        translate([condition] * 3, [exemplar] * 2, model, **options)
    with pytest.raises(ConfigError, match="1 exemplar conditions for 2 exemplars"):
        translate(condition, [exemplar, 255 - photo], model, **options)
    with pytest.raises(ConfigError, match="3 exemplar conditions for 2 exemplars"):
        translate(condition, [exemplar] * 2, model, exemplar_condition=[theirs] * 3)
    with pytest.raises(ConfigError, match="a list of conditions or exemplars is empty"):
        translate([], exemplar, model, **options)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        translate([condition], exemplar, model, batch_size=0, **options)


def test_a_kept_match_takes_no_memory_until_it_is_asked(model, files):
    condition, exemplar, theirs = files()
    match = translate(condition, exemplar, model, exemplar_condition=theirs).prediction.match
    assert not match._kept
    assert match.probabilities().sum(2).allclose(torch.ones(1, 256), atol=1e-5)
