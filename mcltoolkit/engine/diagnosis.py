"""Where a training step first became infinite or not a number, found by computing it again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mcltoolkit.engine import random_state
from mcltoolkit.engine.optim import SIDES
from mcltoolkit.models.exemplar_gan import ExemplarGAN
from mcltoolkit.structures import Batch

UNKNOWN_POSITIONS = "exemplar_positions"  # NaN says that a pixel has no match


@dataclass
class Moment:
    """What one side of a training step starts from, beside the weights, and its loss terms.

    Attributes:
        side: `generator` or `discriminator`.
        batch: on the model's device, conditions dense.
        fake: the image that the discriminator's side judges.
        progress: see `Translation.progress`.
        random: see `random_state.capture`.
        buffers: of the model, by name.
        dtype: of mixed precision, such as `bfloat16`; None without.
        terms: weighted losses by name, once they are computed.
    """

    side: str
    batch: Batch
    fake: Tensor | None
    progress: float
    random: dict[str, Any]
    buffers: dict[str, Tensor]
    dtype: str | None = None
    terms: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Finding:
    """What a diagnosis found; all None where everything is finite.

    Attributes:
        cause: `batch` (the data), `module` (its output is the first that is not finite, while its
            inputs are finite), `loss` (terms or their sum, of finite outputs of all modules),
            `gradient` (the first that is not finite reaches the output of a module, or else a
            parameter).
        where: name of the batch's field, the module or the parameter.
        term: name of the loss whose gradient it is.
        operation: whose backward pass made NaN of numbers, as torch's anomaly mode names it.
    """

    cause: str | None = None
    where: str | None = None
    term: str | None = None
    operation: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        texts = {
            "batch": f"the data are not finite: {self.where}",
            "module": f"first non-finite output: module {self.where}",
            "loss": f"first non-finite: loss {self.term}",
            "gradient": f"first non-finite gradient: of loss {self.term}, at {self.where}"
            + (f" ({self.operation} made NaN of numbers)" if self.operation else ""),
        }
        return texts.get(self.cause or "", "everything is finite when computed again")


def compute(model: ExemplarGAN, moment: Moment) -> dict[str, Tensor]:
    """The loss terms of a moment, with graph; see `at` for what they are computed from."""
    if moment.side == "generator":
        return model.generator_losses(moment.batch)[1]
    assert moment.fake is not None
    return model.discriminator_losses(moment.batch, moment.fake)


def summed(terms: dict[str, Tensor]) -> Tensor:
    """Their sum in float32 or better."""
    return torch.stack([term.float() for term in terms.values()]).sum()


@contextmanager
def at(model: ExemplarGAN, moment: Moment) -> Iterator[None]:
    """Buffers, random state, progress and precision of a moment; only the progress is put back."""
    for name, buffer in model.named_buffers():
        buffer.copy_(moment.buffers[name])
    random_state.restore(moment.random)
    progress, model.progress = model.progress, moment.progress
    device = moment.batch.exemplar.device.type
    reduced = moment.dtype and torch.autocast(device, getattr(torch, moment.dtype))
    try:
        with reduced or nullcontext():
            yield
    finally:
        model.progress = progress


def diagnose(
    model: ExemplarGAN,
    moment: Moment,
    gradients: str = "each",
    agree: Callable[[bool], bool] | None = None,
) -> tuple[dict[str, Tensor], Finding]:
    """The loss terms of a moment, computed again, and what is first non-finite.

    Buffers and random state are left changed; no gradient is kept.

    Args:
        model: its children free of wrappers, in training mode.
        gradients: where all is finite in the forward pass, look at the gradients, too: of `each`
            loss, or of their `sum` alone; or not at all (``).
        agree: whether any rank says so. Ranks whose layers wait for each other must compute the
            same passes; all of them call then.
    """
    watch = _Watch(model)
    with at(model, moment):
        with watch.forward():
            terms = compute(model, moment)
        total = summed(terms)
    values = {name: term.detach() for name, term in terms.items()}
    found = _of_forward(moment, watch.output, terms, total)
    stop = found.cause is not None
    if (stop if agree is None else agree(stop)) or not gradients:
        return values, found
    parameters = _trained(model, moment.side)
    each = terms if gradients == "each" else {}
    for name, term in {**each, "sum of all": total}.items():
        of_term = watch.gradient(name, term, parameters)
        if of_term is not None and agree is None:
            of_term.operation = _operation(term, parameters)
        if of_term is not None:
            return values, of_term
    return values, found


def _of_forward(
    moment: Moment, module: str | None, terms: dict[str, Tensor], total: Tensor
) -> Finding:
    bad = next((name for name, t in _tensors(moment.batch, "batch") if not _finite(t)), None)
    if bad is not None:
        return Finding("batch", bad)
    if module is not None:
        return Finding("module", module)
    if not _finite(total):
        names = [name for name, term in terms.items() if not _finite(term)]
        return Finding("loss", term=", ".join(names) or "sum of all")
    return Finding()


def _trained(model: ExemplarGAN, side: str) -> dict[str, nn.Parameter]:
    return {
        f"{child}.{name}": parameter
        for child in SIDES[side]
        if getattr(model, child, None) is not None
        for name, parameter in getattr(model, child).named_parameters()
        if parameter.requires_grad
    }


def _operation(term: Tensor, parameters: dict[str, nn.Parameter]) -> str | None:
    """The operation whose backward pass makes NaN of numbers, in the words of torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: there is no trace of the forward pass
        try:
            with torch.autograd.detect_anomaly(check_nan=True):
                _gradients(term, parameters)
        except RuntimeError as error:
            return str(error).partition("'")[2].partition("'")[0] or None
    return None


def _gradients(term: Tensor, parameters: dict[str, nn.Parameter]) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(
        term, list(parameters.values()), retain_graph=True, allow_unused=True
    )


class _Watch:
    """Looks at what each module of a model takes and gives."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.output: str | None = None
        self._gradients: list[str] = []

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Inside, the modules compute; inner ones come to their end first."""
        with ExitStack() as stack:
            for name, module in self.model.named_modules():
                # a parametrised weight is the module's own
                shown = name.partition(".parametrizations.")[0]
                hook = module.register_forward_hook(self._hook(shown), with_kwargs=True)
                stack.callback(hook.remove)
            yield

    def _hook(self, name: str) -> Any:
        def look(module: nn.Module, args: Any, kwargs: Any, outputs: Any) -> None:
            for _, tensor in _tensors(outputs):
                if tensor.requires_grad:
                    tensor.register_hook(lambda grad: self._saw(name, grad))
            if self.output is not None or all(_finite(t) for _, t in _tensors(outputs)):
                return
            if all(_finite(t) for _, t in (*_tensors(args), *_tensors(kwargs))):
                self.output = name

        return look

    def _saw(self, name: str, gradient: Tensor) -> None:
        if not _finite(gradient):
            self._gradients.append(name)

    def gradient(
        self, name: str, term: Tensor, parameters: dict[str, nn.Parameter]
    ) -> Finding | None:
        """Where the gradient of a term is first non-finite, if anywhere."""
        if not term.requires_grad:
            return None
        self._gradients.clear()
        found = zip(parameters, _gradients(term, parameters), strict=True)
        bad = [name for name, grad in found if grad is not None and not _finite(grad)]
        if not bad:
            return None
        return Finding("gradient", self._gradients[0] if self._gradients else bad[0], name)


def _tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The floating-point tensors in what flows between modules."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _tensors(item, f"{name}[{index}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            if not (isinstance(value, Batch) and f.name == UNKNOWN_POSITIONS):
                yield from _tensors(getattr(value, f.name), f"{name}.{f.name}")


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())
