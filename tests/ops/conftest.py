from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from mcltoolkit.ops import blocks


class Largest(TorchDispatchMode):
    """Counts the numbers of the largest tensor that an operation returns."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for x in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(x, torch.Tensor):
                self.numbers = max(self.numbers, x.numel())
        return found


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, so that small sizes have several, the last one smaller."""

    def set_numbers(numbers, rows=3):
        monkeypatch.setitem(blocks.NUMBERS, "cpu", numbers)
        monkeypatch.setattr(blocks, "FEWEST_ROWS", rows)

    set_numbers(100)
    return set_numbers


@pytest.fixture
def sizes_of():
    """(numbers of the largest tensor made, numbers saved for backward) of a function and the
    backward pass of the sum of what it returns."""

    def measure(function):
        saved = []
        with Largest() as made:
            with saved_tensors_hooks(lambda x: (saved.append(x.numel()), x)[1], lambda x: x):
                out = function()
            out = out if isinstance(out, tuple) else (out,)
            torch.autograd.backward(out, [torch.ones_like(x) for x in out])
        return made.numbers, sum(saved)

    return measure


@pytest.fixture
def compare():
    """Holds values and gradients of a function to those of its plain form in double precision, and
    two runs to be equal bit by bit."""

    def run(function, plain, inputs, tolerance):
        def results(of, given):
            given = [x.detach().requires_grad_() for x in given]
            out = of(*given)
            out = out if isinstance(out, tuple) else (out,)
            torch.manual_seed(5)
            weights = [torch.randn(x.shape, dtype=torch.float64).to(x.dtype) for x in out]
            grads = torch.autograd.grad(out, given, weights)
            return [*(x.detach() for x in out), *grads]

        ours, again = results(function, inputs), results(function, inputs)
        exact = results(plain, [x.double() for x in inputs])
        for a, b, c in zip(ours, again, exact, strict=True):
            assert torch.equal(a, b)
            size = max(float(c.abs().max()), 1.0)
            assert float((a.double() - c).abs().max()) <= tolerance * size
        for x, grad in zip(inputs, ours[-len(inputs) :], strict=True):
            assert grad.dtype is x.dtype

    return run
