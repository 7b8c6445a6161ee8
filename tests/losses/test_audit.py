import torch

from mcltoolkit.losses.audit import dead_losses


def test_only_losses_without_gradient_are_dead():
    weight = torch.nn.Parameter(torch.ones(3))
    unused = torch.nn.Parameter(torch.ones(3))
    head = torch.nn.Parameter(torch.ones(3))
    losses = {
        "alive": (weight * 2).sum(),
        "constant": torch.tensor(1.0),
        "detached": (weight.detach() * head).sum(),
        "zero": (weight * 0).sum(),
        "flat": weight.clamp(min=2).sum(),
    }
    dead = dead_losses(losses, [weight, unused])
    assert dead == ["constant", "detached", "zero", "flat"]


def test_gradient_is_found_at_any_depth():
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(11)]
    for parameter in parameters:
        assert dead_losses({"one": parameter.sum()}, parameters) == []
