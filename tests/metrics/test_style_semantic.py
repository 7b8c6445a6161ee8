import numpy as np
import pytest
import torch

from mcltoolkit.errors import DataError, WeightsError
from mcltoolkit.losses.vgg import VGG19Features
from mcltoolkit.metrics import (
    SemanticConsistency,
    StyleRelevance,
    region_consistency,
)

SMALL = dict(weights="random", width_divisor=16)


def cosine(a, b):
    a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.fixture(scope="module")
def vgg():
    layers = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")
    return VGG19Features(layers, **SMALL)


def features(vgg, image):
    return {name: f[0].double().numpy() for name, f in vgg(image[None]).items()}


def upsampled(feature, size):
    """Nearest, by its rule: the source of pixel i is floor(i * h / H)."""
    height, width = feature.shape[1:]
    rows = [i * height // size[0] for i in range(size[0])]
    columns = [j * width // size[1] for j in range(size[1])]
    return feature[:, rows][:, :, columns]


def plain_regions(first, second, labels):
    first, second = (upsampled(f, labels.shape) for f in (first, second))
    total = 0.0
    for label in np.unique(labels):
        inside = labels == label
        ours, theirs = first[:, inside].mean(1), second[:, inside].mean(1)
        total += cosine(ours, theirs) * inside.sum() / labels.size
    return total


def test_style_equals_plain_formulas(vgg, samples):
    metric = StyleRelevance(**SMALL)
    metric.process(None, samples)
    found = metric.evaluate(5)
    rows = []
    for sample in samples:
        fake, exemplar = (features(vgg, image) for image in (sample.fake, sample.exemplar))
        one, two = fake["relu1_2"], exemplar["relu1_2"]
        rows.append(
            {
                "style_colour_paper": cosine(one, two),
                "style_texture_paper": cosine(fake["relu2_2"], exemplar["relu2_2"]),
                "style_colour_released": cosine(one.mean((1, 2)), two.mean((1, 2))),
                "style_texture_released": cosine(one.var((1, 2)), two.var((1, 2))),
            }
        )
    for key, value in found.items():
        assert value == pytest.approx(np.mean([row[key] for row in rows]), abs=1e-6), key
        assert metric.per_sample["sample 3"][key] == pytest.approx(rows[3][key], abs=1e-6)
    assert len(set(found.values())) == 4


def test_released_style_ignores_places_and_the_papers_does_not(sample):
    case = sample(0)
    case.exemplar = case.fake
    metric = StyleRelevance(**SMALL)
    metric.process(None, [case])
    assert list(metric.evaluate(1).values()) == pytest.approx([1.0] * 4)
    case.exemplar = case.fake.flip(2)
    metric.process(None, [case])
    mirrored = metric.evaluate(1)
    assert mirrored["style_colour_paper"] < 0.99
    assert mirrored["style_colour_released"] > 0.99


def test_semantic_equals_plain_formulas(vgg, samples):
    metric = SemanticConsistency(**SMALL)
    metric.process(None, samples)
    found = metric.evaluate(5)
    paper, released = [], []
    for sample in samples:
        fake, truth = (features(vgg, image) for image in (sample.fake, sample.truth))
        layers = ("relu3_2", "relu4_2", "relu5_2")
        paper.append(np.mean([cosine(fake[name], truth[name]) for name in layers]))
        labels = sample.labels.numpy()
        released.append(plain_regions(fake["relu4_2"], truth["relu4_2"], labels))
    assert found["semantic_paper"] == pytest.approx(np.mean(paper), abs=1e-6)
    assert found["semantic_released"] == pytest.approx(np.mean(released), abs=1e-6)
    assert metric.passports()["semantic_released"]["layers"] == "relu4_2"
    assert metric.passports()["semantic_paper"]["layers"] == "relu3_2, relu4_2, relu5_2"


@pytest.mark.parametrize(("grid", "size"), [((3, 4), (7, 10)), ((5, 5), (5, 5)), ((4, 4), (3, 9))])
def test_regions_of_any_size_equal_the_enlarged_map(grid, size):
    first, second = torch.randn(2, 6, *grid)
    labels = torch.randint(0, 300, size) // 100 * 100
    expected = plain_regions(first.double().numpy(), second.double().numpy(), labels.numpy())
    assert region_consistency(first, second, labels) == pytest.approx(expected, abs=1e-9)


def test_without_labels_there_is_no_released_value(sample):
    case = sample(0)
    case.labels = None
    metric = SemanticConsistency(**SMALL)
    metric.process(None, [case])
    assert set(metric.evaluate(1)) == {"semantic_paper"}


def test_both_share_one_pass_an_image(samples):
    style, semantic = StyleRelevance(**SMALL), SemanticConsistency(**SMALL)
    assert style.shared is semantic.shared
    passes = []
    style.shared.network.register_forward_hook(lambda *given: passes.append(len(given[1][0])))
    for batch in (samples[:2], samples[2:]):
        style.process(None, batch)
        semantic.process(None, batch)
    assert passes == [2] * 3 + [3] * 3, "output once, exemplar, truth"
    style.evaluate(5)
    assert style.shared._made == {}, "nothing of the last batch is kept"
    other = StyleRelevance(weights="random", width_divisor=16, weights_seed=1)
    assert other.shared is not style.shared
    assert "seed 1" in other.shared.fingerprint


def test_weights_and_sizes_are_checked(sample, tmp_path):
    for kind in (StyleRelevance, SemanticConsistency):
        with pytest.raises(WeightsError, match=f"{kind.__name__} needs VGG-19.*--vgg-weights PATH"):
            kind()
        with pytest.raises(WeightsError, match="does not exist"):
            kind(weights=tmp_path / "none.pth")
    case = sample(0)
    case.exemplar = case.exemplar[:, :16]
    with pytest.raises(DataError, match="differ|its exemplar"):
        StyleRelevance(**SMALL).process(None, [case])
    case = sample(0)
    case.truth = case.truth[:, :16]
    with pytest.raises(DataError, match="differ in size"):
        SemanticConsistency(**SMALL).process(None, [case])
