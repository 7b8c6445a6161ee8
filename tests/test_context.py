import copy
import dataclasses
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcltoolkit.context import (
    FEW_CHANNELS,
    Context,
    OneHot,
    cat_samples,
    dense_views,
    for_part,
    given,
    sample_of,
    takes_context,
)

MANY = FEW_CHANNELS + 3
SIZE = (12, 8)


def ids(classes=MANY, batch=2, size=SIZE):
    return torch.randint(0, classes, (batch, *size))


def dense(labels, classes=MANY):
    return F.one_hot(labels, classes).movedim(-1, -3).float()


def test_one_hot_is_the_dense_map_with_its_shape():
    labels = ids()
    held = OneHot(labels, MANY)
    assert torch.equal(held.dense(), dense(labels))
    assert held.dense(torch.float64).dtype == torch.float64
    assert held.shape == held.dense().shape
    assert len(held) == 2
    assert held.device == labels.device
    assert held.dense() is held.dense()  # made once


@pytest.mark.parametrize("size", [(12, 8), (6, 4), (5, 7), (24, 9), (1, 1), (13, 1)])
def test_resizing_is_interpolate_s(size):
    labels = ids(300)
    found = OneHot(labels, 300).resized(size)
    assert torch.equal(found.dense(), F.interpolate(dense(labels, 300), size=size))


def test_samples_are_taken_out_joined_and_moved():
    labels = ids()
    held = OneHot(labels, MANY)
    one = sample_of(held, 1)
    assert one.shape == (MANY, *SIZE)
    assert torch.equal(one.dense(), dense(labels)[1])
    assert torch.equal(sample_of(dense(labels), 1), dense(labels)[1])
    joined = cat_samples([held, held])
    assert isinstance(joined, OneHot)
    assert torch.equal(joined.dense(), dense(torch.cat([labels, labels])))
    mixed = cat_samples([held, dense(labels)])
    assert torch.equal(mixed, joined.dense())
    assert torch.equal(held.map(lambda t: t[:1]).dense(), dense(labels[:1]))
    assert held.to("meta").device.type == "meta"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    held = OneHot(ids(), MANY)
    assert torch.equal(copied(held).dense(), held.dense())


@pytest.mark.parametrize("classes", [FEW_CHANNELS, MANY])
@pytest.mark.parametrize("size", [SIZE, (5, 7)])
def test_a_context_is_its_pieces_joined_and_resized_once(classes, size):
    image, labels, edges = torch.randn(2, 3, *SIZE), ids(classes), torch.randn(2, 2, *SIZE)
    context = Context([image, OneHot(labels, classes), edges])
    whole = torch.cat([image, dense(labels, classes), edges], 1)
    assert context.shape == whole.shape
    assert torch.equal(context.dense(), whole)
    found = context.at(size)
    assert torch.equal(found.dense(), F.interpolate(whole, size=size))
    assert context.at(size) is found
    joined = isinstance(found.simplest, torch.Tensor)
    assert joined == (classes <= FEW_CHANNELS)  # few classes: one dense piece


def test_a_context_of_a_tensor_is_that_tensor():
    image = torch.randn(2, 3, *SIZE)
    context = Context.of(image)
    assert Context.of(context) is context
    assert context.at(SIZE).simplest is image


def test_a_field_reads_dense_and_keeps_the_ids():
    @dense_views("condition")
    @dataclasses.dataclass
    class Holder:
        condition: torch.Tensor | None = None

    held = OneHot(ids(), MANY)
    holder = Holder(held)
    assert given(holder, "condition") is held
    assert torch.equal(holder.condition, held.dense())
    assert Holder().condition is None
    holder.condition = None
    assert holder.condition is None


def test_a_part_takes_ids_only_where_its_own_class_says_so():
    class Plain(nn.Module):
        def forward(self, x):
            return x

    class Takes(Plain):
        takes_context = True

        def forward(self, x):
            return x

        def prepare(self, x):
            return x

    class Inherits(Takes):
        pass

    class Overrides(Takes):
        def forward(self, x):
            return x

    class OverridesOther(Takes):
        def prepare(self, x):
            return x

    class Refuses(Takes):
        takes_context = False

    parts = (Plain, Takes, Inherits, Overrides, OverridesOther, Refuses)
    assert [takes_context(part) for part in parts] == [False, True, True, False, True, False]
    assert not takes_context(OverridesOther, "prepare")
    held = OneHot(ids(), MANY)
    assert for_part(Takes(), held) is held
    assert torch.equal(for_part(Overrides(), held), held.dense())
