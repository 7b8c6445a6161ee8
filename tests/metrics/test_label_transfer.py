import pytest
import torch
import torch.nn.functional as F
from torchmetrics.functional.classification import multiclass_jaccard_index

from mcltoolkit.errors import DataError
from mcltoolkit.metrics import LabelTransfer, label_accuracy, label_miou, transfer_counts
from mcltoolkit.structures import Prediction

CLASSES = 5


def prediction(warped_labels, labels):
    image = torch.zeros(3, 4, 4)
    return Prediction(
        name="street",
        fake=image,
        warped=image,
        exemplar=image,
        condition=image,
        match=None,
        index=0,
        labels=labels,
        warped_labels=warped_labels,
    )


def case(seed, low=0):
    """Weights whose heaviest class is right in about half of the grid positions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(low, CLASSES - 1, (12, 21), generator=generator)
    true = labels[::3, ::3]  # what nearest picks for cells of 3 x 3
    guess = torch.randint(low, CLASSES - 1, true.shape, generator=generator)
    guess = torch.where(torch.rand(true.shape, generator=generator) < 0.5, true, guess)
    weights = torch.rand(CLASSES, *true.shape, generator=generator)
    weights = weights / 2 + F.one_hot(guess, CLASSES).permute(2, 0, 1)
    return weights, labels, guess, true


def loop_scores(cases, ignore=None):
    hits = total = 0
    inter, union = [0] * CLASSES, [0] * CLASSES
    for _, _, guess, true in cases:
        for g, t in zip(guess.flatten().tolist(), true.flatten().tolist(), strict=True):
            if t == ignore:
                continue
            total += 1
            hits += g == t
            for k in range(CLASSES):
                inter[k] += g == k and t == k
                union[k] += g == k or t == k
    ious = [inter[k] / union[k] for k in range(CLASSES) if union[k] and k != ignore]
    return hits / total, sum(ious) / len(ious)


@pytest.mark.parametrize("ignore", [None, 0, 255])
def test_equals_an_explicit_loop_over_positions(ignore):
    cases = [case(seed) for seed in range(3)]
    metric = LabelTransfer(ignore_label=ignore)
    metric.process(None, [prediction(w, y) for w, y, _, _ in cases])
    found = metric.evaluate(3)
    accuracy, miou = loop_scores(cases, ignore)
    assert found == {
        "label_accuracy": pytest.approx(accuracy),
        "label_miou": pytest.approx(miou),
    }


def test_miou_agrees_with_torchmetrics():
    weights, labels, guess, true = case(7)
    expected = multiclass_jaccard_index(guess, true, num_classes=CLASSES, average="macro")
    assert label_miou(transfer_counts(weights, labels)) == pytest.approx(float(expected))


def test_class_that_never_occurs_does_not_lower_the_mean():
    labels = torch.tensor([[0, 0], [1, 1]])
    weights = F.one_hot(labels, 4).permute(2, 0, 1).float()
    counts = transfer_counts(weights, labels)
    assert counts.tolist() == [[2, 2, 0, 0]] * 3
    assert label_accuracy(counts) == label_miou(counts) == 1.0


def test_labels_are_resized_as_interpolate_does():
    torch.manual_seed(0)
    labels = torch.randint(0, CLASSES, (7, 10))
    resized = F.interpolate(labels[None, None].float(), size=(3, 4), mode="nearest")[0, 0].long()
    weights = F.one_hot(resized, CLASSES).permute(2, 0, 1).float()
    assert label_accuracy(transfer_counts(weights, labels)) == 1.0


def test_repeated_samples_of_a_padded_rank_are_cut_off():
    right, wrong = case(1), case(2)
    metric = LabelTransfer()
    metric.process(None, [prediction(w, y) for w, y, _, _ in (right, wrong, right)])
    accuracy, _ = loop_scores([right, wrong])
    assert metric.evaluate(2)["label_accuracy"] == pytest.approx(accuracy)


def test_nothing_counted_gives_no_numbers():
    weights, labels, _, _ = case(3)
    metric = LabelTransfer(ignore_label=0)
    metric.process(None, [prediction(weights, torch.zeros_like(labels))])
    assert metric.evaluate(1) == {}


@pytest.mark.parametrize("side", ["condition", "exemplar"])
def test_missing_labels_are_explained(side):
    weights, labels, _, _ = case(4)
    sample = prediction(
        None if side == "exemplar" else weights, None if side == "condition" else labels
    )
    with pytest.raises(DataError, match=f"the {side} of 'street' has none"):
        LabelTransfer().process(None, [sample])


def test_counts_of_each_class_and_values_of_each_sample_are_kept():
    cases = [case(seed) for seed in range(3)]
    metric = LabelTransfer(ignore_label=0)
    samples = [prediction(w, y) for w, y, _, _ in cases]
    for number, sample in enumerate(samples):
        sample.name = f"street {number}"
    metric.process(None, samples)
    metric.evaluate(3)
    for k, counts in metric.per_class.items():
        counted = [(g, t) for _, _, g, t in cases]
        kept = [(g[t != 0], t[t != 0]) for g, t in counted]
        assert counts == {
            "hits": sum(int(((g == k) & (t == k)).sum()) for g, t in kept),
            "transferred": sum(int((g == k).sum()) for g, _ in kept),
            "true": sum(int((t == k).sum()) for _, t in kept),
        }
    assert set(metric.per_class) == {0, 1, 2, 3}
    for number, alone in enumerate(cases):
        accuracy, miou = loop_scores([alone], ignore=0)
        found = metric.per_sample[f"street {number}"]
        assert found == {
            "label_accuracy": pytest.approx(accuracy),
            "label_miou": pytest.approx(miou),
        }
    assert metric.passports()["label_miou"]["ignore_label"] == 0
