"""What the conformance tests of all kinds of networks share."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mcltoolkit.errors import ToolkitError
from mcltoolkit.interfaces import FILLED_IN
from mcltoolkit.plugins import load_plugins
from mcltoolkit.registry import Registry, build_component
from mcltoolkit.testing.ranks import ranks

Size = tuple[int, int]


class ComponentTests:
    """Base of the conformance tests; derive from the class of your component's kind.

    Class attributes:
        component: the registered name.
        settings: of the component, as in a config; choose small ones.
        plugins: modules that register it, unless an installed plugin does.
        sizes: image sizes (H, W) to try; the first is used where one is enough.
        condition_channels: C.
        amp_tolerance: largest relative deviation, ||a - b|| / ||b||, of the outputs under
            autocast; None asks only that they are finite.
        batch_tolerance: the same for a batch of two against two batches of one; None where samples
            of a batch may influence each other in evaluation too.
    """

    component: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Any]] = {}
    plugins: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[tuple[Size, ...]] = ((32, 32), (32, 64))
    condition_channels: ClassVar[int] = 5
    amp_tolerance: ClassVar[float | None] = 0.1
    batch_tolerance: ClassVar[float | None] = 1e-4

    kind: ClassVar[str]
    registry: ClassVar[Registry]

    # what a kind defines

    def filled_in(self) -> dict[str, int]:
        """Constructor arguments that the toolkit fills in (`interfaces.FILLED_IN`)."""
        raise NotImplementedError

    def make_inputs(self, size: Size, batch: int = 2) -> dict[str, Any]:
        """Arguments of `forward` in their order for images of a size, from torch's generator;
        those that learned parts make carry gradients."""
        raise NotImplementedError

    def read_outputs(self, output: Any) -> dict[str, Tensor]:
        """Tensors of an output by name, batch first."""
        raise NotImplementedError

    def check_outputs(self, module: Any, inputs: dict[str, Any], output: Any) -> None:
        """Assert what the interface promises of an output."""
        raise NotImplementedError

    # pieces

    def build(self, seed: int = 0) -> nn.Module:
        """The component, with random weights of that seed."""
        assert self.component, f"{type(self).__name__}.component names no registered {self.kind}"
        load_plugins(self.plugins)
        torch.manual_seed(seed)
        module: nn.Module = build_component(
            self.registry,
            {"type": self.component, **self.settings},
            self.component,
            **self.filled_in(),
        )
        return module

    def inputs(self, size: Size | None = None, batch: int = 2, seed: int = 1) -> dict[str, Any]:
        """`make_inputs` of a seed; the first of `sizes` by default."""
        torch.manual_seed(seed)
        return self.make_inputs(size or self.sizes[0], batch)

    def outputs(
        self, module: nn.Module, inputs: dict[str, Any], seed: int = 2
    ) -> dict[str, Tensor]:
        """Tensors of one forward pass."""
        torch.manual_seed(seed)
        return self.read_outputs(module(*inputs.values()))

    # the tests

    def test_registered(self) -> None:
        """The name is known, and the class can be built from its settings."""
        module = self.build()
        assert isinstance(module, nn.Module)
        filled = set(FILLED_IN[self.kind])
        assert set(self.filled_in()) == filled, f"the toolkit fills in {sorted(filled)}"

    def test_shapes(self) -> None:
        """Every size and a batch of one give what the interface promises."""
        module = self.build().eval()
        for size in self.sizes:
            for batch in (1, 2):
                inputs = self.inputs(size, batch)
                with torch.no_grad():
                    output = module(*inputs.values())
                for name, values in self.read_outputs(output).items():
                    assert len(values) == batch, f"{name} of {size}: batch {len(values)}"
                    assert values.isfinite().all(), f"{name} of {size} is not finite"
                self.check_outputs(module, inputs, output)

    def test_gradients(self) -> None:
        """Every trainable parameter gets a finite gradient, and so does every input that a learned
        part makes."""
        module = self.build().train()
        inputs = self.inputs()
        _backward(self.outputs(module, inputs))
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            assert parameter.grad is not None, (
                f"parameter {name} takes no part in the forward pass, which distributed training "
                f"cannot have: remove it, or set requires_grad False"
            )
            assert parameter.grad.isfinite().all(), f"gradient of {name} is not finite"
        for name, leaf in _leaves(inputs).items():
            assert leaf.grad is not None, f"no gradient reaches the input {name}"
            assert leaf.grad.isfinite().all(), f"gradient of the input {name} is not finite"
            assert leaf.grad.any(), f"the gradient of the input {name} is zero"

    def test_mixed_precision(self) -> None:
        """Under autocast (bfloat16 on the CPU, float16 on CUDA) outputs and gradients are finite,
        and the outputs near those in float32."""
        devices = [("cpu", torch.bfloat16)]
        if torch.cuda.is_available():
            devices.append(("cuda", torch.float16))
        for device, dtype in devices:
            module = self.build().to(device).train()
            inputs = _moved(self.inputs(), device)
            with torch.no_grad():
                plain = self.outputs(module, inputs)
            module = self.build().to(device).train()
            with torch.autocast(device, dtype=dtype):
                mixed = self.outputs(module, inputs)
            for name, values in mixed.items():
                assert values.isfinite().all(), f"{name} under autocast to {dtype} is not finite"
                if self.amp_tolerance is not None:
                    error = deviation(values, plain[name])
                    assert error <= self.amp_tolerance, f"{name} under {dtype} is {error:.3g} off"
            _backward(mixed)
            for name, parameter in module.named_parameters():
                if parameter.grad is not None:
                    assert parameter.grad.isfinite().all(), f"gradient of {name} under {dtype}"

    def test_same_on_every_device(self) -> None:
        """CUDA, where there is one, gives what the CPU gives."""
        if not torch.cuda.is_available():
            return
        module, inputs = self.build().eval(), self.inputs()
        with torch.no_grad():
            ours = self.outputs(module, inputs)
            theirs = self.outputs(module.cuda(), _moved(inputs, "cuda"))
        for name, values in ours.items():
            error = deviation(theirs[name].cpu(), values)
            assert error < 1e-2, f"{name} on CUDA is {error:.3g} off"

    def test_state_dict_round_trip(self) -> None:
        """Weights saved and loaded into a module of another seed give the same outputs; the file
        holds tensors only."""
        module, other = self.build(0).eval(), self.build(1).eval()
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        inputs = self.inputs()
        with torch.no_grad():
            ours, theirs = self.outputs(module, inputs), self.outputs(other, inputs)
        for name, values in ours.items():
            assert torch.equal(values, theirs[name]), f"{name} differs after loading"

    def test_deterministic(self) -> None:
        """The same seed gives the same weights, outputs and gradients."""
        first, second = self._trained(), self._trained()
        assert first.keys() == second.keys()
        for name, values in first.items():
            assert torch.equal(values, second[name]), f"{name} differs under the same seed"

    def test_samples_are_independent(self) -> None:
        """In evaluation a batch of two equals two batches of one."""
        if self.batch_tolerance is None:
            return
        module = self.build().eval()
        inputs = self.inputs()
        with torch.no_grad():
            both = self.outputs(module, inputs)
            singles = [self.outputs(module, _sample(inputs, index)) for index in range(2)]
        for name, values in both.items():
            apart = torch.cat([single[name] for single in singles])
            error = deviation(values, apart)
            assert error <= self.batch_tolerance, f"{name} of a batch is {error:.3g} off"

    def test_distributed(self) -> None:
        """Under DistributedDataParallel the gradients of two ranks are the mean of their own."""
        for deviations in ranks().run(_compare_ranks, type(self).spec(), plugins=self.plugins):
            for name, error in deviations.items():
                assert error < 1e-3, f"gradient of {name} under DDP is {error:.3g} off"

    def _trained(self) -> dict[str, Tensor]:
        module = self.build().train()
        outputs = self.outputs(module, self.inputs())
        _backward(outputs)
        found = {f"output {name}": values.detach() for name, values in outputs.items()}
        for name, parameter in module.named_parameters():
            found[f"parameter {name}"] = parameter.detach().clone()
            if parameter.grad is not None:
                found[f"gradient of {name}"] = parameter.grad
        return found

    # another process rebuilds the tests from plain data, since it may not import a test module

    @classmethod
    def spec(cls) -> tuple[type[ComponentTests], dict[str, Any]]:
        """The toolkit's test class and the attributes that a derived class sets."""
        base = next(c for c in cls.__mro__ if c.__module__.startswith("mcltoolkit.testing."))
        names = [
            name
            for name in dir(base)
            if not name.startswith("_") and not callable(getattr(base, name)) and name != "registry"
        ]
        return base, {name: getattr(cls, name) for name in names}


def _compare_ranks(spec: tuple[type[ComponentTests], dict[str, Any]]) -> dict[str, float]:
    """Relative deviation of each gradient under DDP from the ranks' mean, seen from this rank."""
    base, attributes = spec
    tests = type("Remote", (base,), attributes)()
    rank = dist.get_rank()
    inputs = tests.inputs(seed=10 + rank)
    plain, wrapped = tests.build().train(), tests.build().train()
    _backward(tests.outputs(plain, inputs))
    trained = {n: p for n, p in plain.named_parameters() if p.requires_grad}
    if not trained:
        return {}
    parallel = DistributedDataParallel(wrapped)
    _backward(tests.outputs(parallel, inputs))
    found = dict(wrapped.named_parameters())
    deviations = {}
    for name, parameter in trained.items():
        assert parameter.grad is not None
        mean = parameter.grad.clone()
        dist.all_reduce(mean)
        mean /= dist.get_world_size()
        gradient = found[name].grad
        assert gradient is not None
        deviations[name] = deviation(gradient, mean)
    return deviations


def refuses(module: nn.Module, inputs: dict[str, Any], what: str) -> None:
    """Assert that the module refuses the inputs with an error of the toolkit's."""
    try:
        with torch.no_grad():
            module(*inputs.values())
    except ToolkitError:
        return
    raise AssertionError(
        f"{type(module).__name__} takes {what} without a ConfigError that tells the user what is "
        f"allowed"
    )


def random_labels(batch: int, classes: int, size: Size) -> Tensor:
    """Label maps (B, H, W) in blocks of 8 x 8 pixels."""
    height, width = size
    coarse = torch.randint(classes, (batch, -(-height // 8), -(-width // 8)))
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :height, :width]


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(B, H, W) -> (B, K, H, W) float32."""
    return nn.functional.one_hot(labels, classes).movedim(-1, 1).float()


def tensors_in(extras: Mapping[str, Any]) -> dict[str, Tensor]:
    """The extras that have one entry a sample."""
    return {n: v for n, v in extras.items() if isinstance(v, Tensor) and v.ndim}


def _backward(outputs: Mapping[str, Tensor]) -> None:
    """Gradients of a scalar in which every output value has a weight of its own, order 1; none
    where nothing is learned."""
    terms = []
    for values in outputs.values():
        if values.requires_grad:
            weights = torch.linspace(-1, 1, values.numel(), device=values.device)
            weights = (weights * 7).sin().view_as(values)
            terms.append((values.float() * weights).sum() / max(values.numel(), 1) ** 0.5)
    if terms:
        torch.stack(terms).sum().backward()


def deviation(found: Tensor, expected: Tensor) -> float:
    """||found - expected|| / ||expected||; the numerator where that is 0."""
    found, expected = found.detach().double(), expected.detach().double()
    size = float(expected.norm())
    return float((found - expected).norm()) / (size if size > 1e-8 else 1.0)


def _leaves(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    return {n: v for n, v in inputs.items() if isinstance(v, Tensor) and v.requires_grad}


def _moved(inputs: Mapping[str, Any], device: str) -> dict[str, Any]:
    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.detach().to(device).requires_grad_(value.requires_grad)
        return value.to(device) if hasattr(value, "to") else value

    return {name: move(value) for name, value in inputs.items()}


def _sample(inputs: Mapping[str, Any], index: int) -> dict[str, Any]:
    def pick(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[index : index + 1]
        if hasattr(value, "map_tensors"):
            return value.map_tensors(lambda tensor: tensor[index : index + 1])
        return value

    return {name: pick(value) for name, value in inputs.items()}
