"""One process; tests/engine/test_equal_ranks.py shards over two."""

import re

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.utils import _pytree

from mcltoolkit import context
from mcltoolkit.engine import sharding
from mcltoolkit.engine.sharding import SeparateFSDP
from mcltoolkit.errors import ConfigError

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a gloo group on the CPU")


@pytest.fixture
def group(tmp_path):
    """A process group of one rank."""
    dist.init_process_group("gloo", f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def units(model):
    return [name for name, module in model.named_modules() if hasattr(module, "unshard")]


def test_without_ranks_there_is_nothing_to_shard(tiny_gan):
    with pytest.raises(ConfigError, match="start it with tools/dist_train.sh"):
        SeparateFSDP(tiny_gan())


def test_an_old_torch_is_named(group, tiny_gan, monkeypatch):
    monkeypatch.delattr(torch.distributed.fsdp, "fully_shard")
    version = re.escape(torch.__version__)
    with pytest.raises(ConfigError, match=f"needs torch 2.6 or newer; this is {version}"):
        SeparateFSDP(tiny_gan())


def test_units_are_checked(group, tiny_gan):
    with pytest.raises(ConfigError, match="'SPADEResBlok', but no module .* 'SPADEResBlock'"):
        SeparateFSDP(tiny_gan(), units=["SPADEResBlok"])


def test_children_their_parts_and_the_blocks_are_units(group, tiny_gan):
    model = tiny_gan()
    names = [*model._modules, *(f"translator.{n}" for n, _ in model.translator.named_children())]
    blocks = [n for n, m in model.named_modules() if type(m).__name__ == "SPADEResBlock"]
    SeparateFSDP(model)
    found = units(model)
    assert {*blocks, "translator.generator", "discriminator", "losses"} <= set(found)
    assert set(found) <= {*blocks, *names}


def test_units_of_ones_own(group, tiny_gan):
    model = tiny_gan()
    blocks = [n for n, m in model.named_modules() if type(m).__name__ == "SPADE"]
    SeparateFSDP(model, units=["SPADE"])
    assert set(blocks) < set(units(model))
    assert not any(n.endswith("middle_0") for n in units(model))


def test_frozen_children_stay_whole_and_scalars_keep_their_shape(group):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(2.0))

        def forward(self, x):
            return self.gain * x

    model = nn.Module()
    model.trained, model.frozen = Scaled(), Scaled().requires_grad_(False)
    wrapped = SeparateFSDP(model)
    assert units(model) == ["trained"]
    state = wrapped.full_state_dict()
    assert {name: value.shape for name, value in state.items()} == dict.fromkeys(
        ("trained.gain", "frozen.gain"), torch.Size([])
    )
    wrapped.load_full_state_dict({name: value * 2 for name, value in state.items()})
    assert wrapped.full_state_dict()["trained.gain"].item() == 4
    assert model.trained(torch.ones(3)).tolist() == [4, 4, 4]


def test_a_state_that_does_not_fit_is_refused(group, tiny_gan):
    wrapped = SeparateFSDP(tiny_gan())
    state = wrapped.full_state_dict()
    name = next(iter(state))
    with pytest.raises(RuntimeError, match=f"Missing key.*{name}"):
        wrapped.load_full_state_dict({k: v for k, v in state.items() if k != name})
    with pytest.raises(RuntimeError, match="size mismatch"):
        wrapped.load_full_state_dict({**state, name: state[name][:1, :1]})


def test_gradients_wait_inside_no_sync(group, tiny_gan, scenes):
    wrapped = SeparateFSDP(tiny_gan())
    batch = wrapped.module.data_preprocessor(scenes(), True)

    def gradient():
        _, losses = wrapped.module.generator_losses(batch)
        sum(losses.values()).backward()
        return next(wrapped.module.translator.generator.parameters()).grad

    with wrapped.no_sync():
        assert gradient() is None
    assert gradient() is not None


def test_a_shard_is_part_of_its_tensor():
    value = torch.ones(3)
    assert sharding.local(value) is value


def test_label_ids_flow_as_ids_and_spade_layers_may_be_units(group, tiny_gan, scenes, monkeypatch):
    monkeypatch.setattr(context, "FEW_CHANNELS", 0)
    batch = scenes().with_one_hot(6)
    whole = tiny_gan().eval()
    expected = whole(batch).fake
    SeparateFSDP(whole, units=["SPADE", "Conv"])
    torch.testing.assert_close(whole(batch).fake, expected)
    leaves, tree = _pytree.tree_flatten(batch)
    assert any(leaf is batch.labels for leaf in leaves)
    again = _pytree.tree_unflatten(leaves, tree)
    assert isinstance(again.given_condition, context.OneHot)
    assert torch.equal(again.condition, batch.condition)
    assert again.names == batch.names
