"""One CPU rank; tests/integration/test_distributed.py runs two."""

import copy
import os
import socket

import pytest
import torch
import torch.distributed as dist
from mmengine.model import is_model_wrapper

from mcltoolkit.engine.checkpoints import strip_wrappers
from mcltoolkit.engine.distributed import SeparateDDP, init_process_group
from mcltoolkit.engine.hooks import EMAHook
from mcltoolkit.engine.optim import GANOptimWrapperConstructor
from mcltoolkit.errors import ConfigError
from mcltoolkit.models.exemplar_gan import unwrap

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="with CUDA mmengine uses nccl")


@pytest.fixture
def address(monkeypatch):
    """Where a process group of one rank can meet; the group is left again afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")  # so that what is set below is undone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    yield monkeypatch
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def group(address):
    address.setenv("RANK", "0")
    address.setenv("WORLD_SIZE", "1")
    init_process_group("pytorch")


RANKS = {
    "pytorch": {"RANK": "0", "WORLD_SIZE": "1"},
    "slurm": {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0"},
    "mpi": {
        "OMPI_COMM_WORLD_RANK": "0",
        "OMPI_COMM_WORLD_SIZE": "1",
        "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    },
}


@pytest.mark.parametrize("launcher", RANKS)
def test_ranks_without_cuda_meet_through_gloo(address, launcher):
    for name, value in RANKS[launcher].items():
        address.setenv(name, value)
    init_process_group(launcher)
    assert dist.get_backend() == "gloo"
    assert (dist.get_rank(), dist.get_world_size()) == (0, 1)
    init_process_group(launcher)  # a second call changes nothing


def test_a_single_process_joins_no_group(address):
    init_process_group("none")
    assert not dist.is_initialized()


def test_ranks_wait_as_long_as_the_config_says(address):
    for name, value in RANKS["pytorch"].items():
        address.setenv(name, value)
    init_process_group("pytorch", timeout=33)
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))
    assert backend.options._timeout.total_seconds() == 33


@pytest.mark.parametrize("timeout", [0, -1, "long"])
def test_what_is_no_time_to_wait(address, timeout):
    with pytest.raises(ConfigError, match=f"timeout is {timeout!r}; allowed are seconds > 0"):
        init_process_group("pytorch", timeout)


def test_a_port_that_another_run_has_taken(address):
    for name, value in RANKS["pytorch"].items():
        address.setenv(name, value)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address.setenv("MASTER_PORT", str(port))
        with pytest.raises(ConfigError, match=f"port {port} of this machine is taken"):
            init_process_group("pytorch")


def test_steps_of_slurm_jobs_have_ports_of_their_own(address):
    ports = set()
    for job, step in (("1234567", "0"), ("1234567", "1"), ("1234568", "0")):
        for name, value in {**RANKS["slurm"], "SLURM_JOB_ID": job, "SLURM_STEP_ID": step}.items():
            address.setenv(name, value)
        address.delenv("MASTER_PORT")
        init_process_group("slurm")
        ports.add(int(os.environ["MASTER_PORT"]))
        dist.destroy_process_group()
    assert len(ports) == 3
    assert all(20000 <= port < 30000 for port in ports)


def wrapped_children(ddp):
    return {name: c for name, c in ddp.module._modules.items() if is_model_wrapper(c)}


def test_no_sync_covers_every_child(group, tiny_gan):
    ddp = SeparateDDP(tiny_gan(), device_ids=None)
    children = wrapped_children(ddp)
    assert set(children) == {"translator", "losses", "discriminator"}
    with ddp.no_sync():
        assert not any(child.require_backward_grad_sync for child in children.values())
    assert all(child.require_backward_grad_sync for child in children.values())


def test_a_model_without_discriminator_and_heads_can_be_wrapped(group, tiny_gan):
    off = {f"model.losses.{name}": None for name in ("adv", "feature_matching", "mcl")}
    ddp = SeparateDDP(tiny_gan(off), device_ids=None)
    assert set(wrapped_children(ddp)) == {"translator"}
    with ddp.no_sync():
        pass


def test_a_wrapped_step_equals_a_plain_one_and_loses_no_weights(group, tiny_gan, scenes):
    plain = tiny_gan()
    ddp = SeparateDDP(copy.deepcopy(plain), device_ids=None)
    side = {"optimizer": {"type": "SGD", "lr": 0.01}}
    logs = []
    for model in (plain, ddp):
        model.train()
        wrappers = GANOptimWrapperConstructor({"generator": side, "discriminator": side})(model)
        logs.append(model.train_step(scenes(), wrappers))
    torch.testing.assert_close(logs[0], logs[1])

    raw = ddp.module.state_dict()
    assert any(".module." in name for name in raw), "mmengine's loader drops such keys"
    stripped, expected = strip_wrappers(ddp.module, raw), plain.state_dict()
    assert stripped.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(stripped[name], value, msg=name)

    model = unwrap(ddp)
    with model.without_wrappers():
        assert model.state_dict().keys() == expected.keys()
        assert not any(is_model_wrapper(child) for child in model.children())
    assert set(wrapped_children(ddp)) == {"translator", "losses", "discriminator"}


def test_wrappers_come_back_after_an_error(group, tiny_gan):
    model = SeparateDDP(tiny_gan(), device_ids=None).module
    with pytest.raises(ZeroDivisionError), model.without_wrappers():
        1 / 0  # noqa: B018
    assert is_model_wrapper(model.translator)


def test_the_average_of_weights_knows_no_wrappers(group, tiny_gan):
    from types import SimpleNamespace

    plain = tiny_gan()
    ddp = SeparateDDP(copy.deepcopy(plain), device_ids=None)
    saved = []
    for model in (plain, ddp):
        hook, checkpoint = EMAHook(), {}
        hook.before_run(SimpleNamespace(model=model))
        hook.after_train_iter(SimpleNamespace(model=model), 0)
        hook.before_save_checkpoint(SimpleNamespace(model=model), checkpoint)
        saved.append(checkpoint["ema_state_dict"])
    assert saved[0].keys() == saved[1].keys()
