import pytest
import torch

from mcltoolkit.errors import DataError
from mcltoolkit.structures import ImageFeatures, Sample, collate


def sample(name="a", size=(4, 6), **fields):
    return Sample(name=name, exemplar=torch.zeros(3, *size), **fields)


def test_collate_stacks_in_order():
    first = sample("a", labels=torch.zeros(4, 6, dtype=torch.int64), paired=True)
    second = sample("b", labels=torch.ones(4, 6, dtype=torch.int64))
    batch = collate([first, second])
    assert batch.names == ["a", "b"]
    assert batch.paired.tolist() == [True, False]
    assert batch.labels[1].unique().tolist() == [1]
    assert batch.truth is None


def test_collate_names_the_sample_that_lacks_a_field():
    with pytest.raises(DataError, match=r"'truth' is missing in \['b'\]"):
        collate([sample("a", truth=torch.zeros(3, 4, 6)), sample("b")])


def test_collate_names_differing_sizes():
    with pytest.raises(DataError, match=r"a: \(3, 4, 6\), b: \(3, 5, 6\)"):
        collate([sample("a"), sample("b", size=(5, 6))])


def test_one_hot_is_the_inverse_of_argmax():
    labels = torch.randint(0, 5, (4, 6))
    batch = collate([sample(labels=labels, exemplar_labels=labels.flip(0))]).with_one_hot(5)
    assert batch.condition.shape == (1, 5, 4, 6)
    assert torch.equal(batch.condition.sum(1), torch.ones(1, 4, 6))
    assert torch.equal(batch.condition.argmax(1)[0], labels)
    assert torch.equal(batch.exemplar_condition.argmax(1)[0], labels.flip(0))


@pytest.mark.parametrize("value", [-1, 5])
def test_labels_outside_the_range_are_named(value):
    labels = torch.zeros(4, 6, dtype=torch.int64)
    labels[0, 0] = value
    with pytest.raises(DataError, match=r"\['a'\].*allowed are 0\.\.4"):
        collate([sample(labels=labels)]).check(5)


def test_dense_condition_with_other_channels_is_named():
    batch = collate([sample(condition=torch.zeros(7, 4, 6))])
    with pytest.raises(DataError, match="7 channels found, the model takes 5"):
        batch.check(5)


def test_batch_without_condition_is_an_error():
    with pytest.raises(DataError, match="neither labels nor a dense map"):
        collate([sample()]).with_one_hot(5)


def test_as_paired_makes_each_truth_its_own_exemplar():
    truth = torch.rand(3, 4, 6)
    labels = torch.randint(0, 5, (4, 6))
    batch = collate(
        [sample(truth=truth, labels=labels, exemplar_labels=labels.flip(0))]
    ).as_paired()
    assert torch.equal(batch.exemplar[0], truth)
    assert torch.equal(batch.exemplar_labels[0], labels)
    assert batch.paired.all()


def test_positions_travel_in_the_batch_and_end_with_their_exemplar():
    positions = torch.rand(2, 4, 6)
    batch = collate([sample(truth=torch.rand(3, 4, 6), exemplar_positions=positions)])
    assert torch.equal(batch.exemplar_positions[0], positions)
    assert torch.equal(batch.to("cpu").exemplar_positions[0], positions)
    assert batch.as_paired().exemplar_positions is None


def test_image_features_are_computed_once_and_only_the_fake_carries_gradient():
    calls = []

    def extractor(image):
        calls.append(image)
        return {"double": image * 2}

    fake = torch.ones(1, 3, 2, 2, requires_grad=True)
    truth = torch.ones(1, 3, 2, 2, requires_grad=True)
    features = ImageFeatures(extractor, {"fake": fake, "truth": truth})
    for _ in range(3):
        assert features.of("fake")["double"].requires_grad
        assert not features.of("truth")["double"].requires_grad
    assert len(calls) == 2
