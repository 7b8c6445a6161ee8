"""Fully sharded data parallelism for models that outgrow one device, by config:

    model_wrapper_cfg = dict(type="SeparateFSDP")

Parameters, gradients and optimiser states are spread over the ranks by torch's `fully_shard`
(Zhao et al., VLDB 2023); a unit's parameters are whole only while it computes. mmengine's
FSDPStrategy wraps one module for one optimiser; here each child of the model that trains is sharded
on its own, as its optimiser wants it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from mmengine.device import get_device
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from mcltoolkit.context import OneHot
from mcltoolkit.errors import ConfigError, near_matches
from mcltoolkit.registry import MODEL_WRAPPERS
from mcltoolkit.structures import Alignment, Batch, DiscriminatorPass, Painting, Translation

try:
    from torch.distributed.tensor import DTensor as _DTensor
    from torch.distributed.tensor import distribute_tensor as _distribute
except ImportError:  # torch before 2.5 has them under another name, and no fully_shard
    _DTensor = ()  # type: ignore[assignment,misc]

FLOWS = (Alignment, Batch, DiscriminatorPass, Painting, Translation)
BLOCKS = ("SPADEResBlock",)


@MODEL_WRAPPERS.register_module()
class SeparateFSDP(nn.Module):
    """Shards each child of the model that trains, and the parts inside.

    The model's modules stay what they are and keep their names: only their parameters become
    shards. Every part with parameters of its own must be entered through its `forward`.

    Args:
        module: the model, whole; all ranks take the weights of rank 0.
        units: names of module classes whose modules become units, gathered one at a time, beside
            the model's children and theirs; None takes the SPADE blocks.
        reshard_after_forward: free a unit's gathered parameters between its forward and its
            backward pass: less memory, one gathering more.

    Raises:
        ConfigError: torch is older than 2.6, no process group, or a class that the model lacks.
    """

    def __init__(
        self,
        module: nn.Module,
        units: Sequence[str] | None = None,
        reshard_after_forward: bool = True,
    ) -> None:
        super().__init__()
        if not dist.is_initialized():
            raise ConfigError("SeparateFSDP shards over ranks; start it with tools/dist_train.sh")
        self.module = module
        self._scalars = _scalars_as_vectors(module)
        shard = _fully_shard()
        _register_flows()
        mesh = dist.device_mesh.init_device_mesh(get_device(), (dist.get_world_size(),))
        self._settings = {"mesh": mesh, "reshard_after_forward": reshard_after_forward}
        classes = _checked(module, units)
        for value in module.state_dict().values():
            dist.broadcast(value, 0)  # as DistributedDataParallel does
        for child in module.children():
            if any(p.requires_grad for p in child.parameters()):
                for unit in _units(child, classes):
                    shard(unit, **self._settings)
                shard(child, **self._settings)
        # no module of a model here writes into what another has returned
        warnings.filterwarnings("ignore", "FSDP2-wrapped module", UserWarning)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """The model's."""
        return self.module.train_step(data, optim_wrapper)  # type: ignore[operator]

    def val_step(self, data: Any) -> list[Any]:
        """The model's."""
        return self.module.val_step(data)  # type: ignore[operator]

    def test_step(self, data: Any) -> list[Any]:
        """The model's."""
        return self.module.test_step(data)  # type: ignore[operator]

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients are accumulated inside, not exchanged."""
        with self.module.no_sync():  # type: ignore[operator]
            yield

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Parameters are whole inside and stay so after a pass, for gradients with respect to
        them; for looking, not for changing."""
        units = [m for m in self.module.modules() if hasattr(m, "set_reshard_after_forward")]

        def keep(whole: bool) -> None:
            for unit in units:
                wanted = not whole and self._settings["reshard_after_forward"]
                unit.set_reshard_after_forward(wanted, recurse=False)  # type: ignore[operator]
                unit.set_reshard_after_backward(not whole, recurse=False)  # type: ignore[operator]

        keep(True)
        for unit in units:
            unit.unshard()  # type: ignore[operator]
        try:
            yield
        finally:
            keep(False)
            for unit in units:
                unit.reshard()  # type: ignore[operator]

    def whole(self, name: str, value: Tensor) -> Tensor:
        """A copy on the CPU of the whole of what is spread as the parameter or buffer `name` of the
        model is; all ranks must call."""
        value = value.detach()
        value = value.full_tensor().cpu() if isinstance(value, _DTensor) else value.cpu().clone()
        return value.view(()) if name in self._scalars and value.shape == (1,) else value

    def shard(self, name: str, whole: Tensor, like: Tensor) -> Tensor:
        """The reverse: `whole` spread as `like` is; one of another shape is returned as it is."""
        if name in self._scalars and whole.dim() == 0:
            whole = whole.view(1)
        if not isinstance(like, _DTensor) or whole.shape != like.shape:
            return whole
        return _distribute(whole.to(like.device), like.device_mesh, like.placements)

    def full_state_dict(self) -> dict[str, Any]:
        """The model's whole state on the CPU, under the names of a model that is not sharded; on
        rank 0, and {} on the others. All ranks must call."""
        return _on_first({n: self.whole(n, v) for n, v in self.module.state_dict().items()})

    def load_full_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> Any:
        """Take each rank's shards out of a whole state; all ranks must call, with all of it.

        Returns:
            Missing and unexpected names, as `nn.Module.load_state_dict`.

        Raises:
            RuntimeError: names or shapes do not fit, as there.
        """
        own = self.module.state_dict()
        sharded = {n: self.shard(n, v, own[n]) if n in own else v for n, v in state.items()}
        return self.module.load_state_dict(sharded, strict)

    def full_optim_state_dict(self, optim_wrapper: OptimWrapperDict) -> dict[str, Any]:
        """The whole state of the optimisers, as `optim_wrapper.state_dict()` of a model that is not
        sharded gives it; on rank 0, and {} on the others. All ranks must call."""
        found = optim_wrapper.state_dict()
        for side, names in self._names(optim_wrapper).items():
            found[side] = dict(found[side])
            found[side]["state"] = {
                index: {key: self._of_state(self.whole, names[index], v) for key, v in of.items()}
                for index, of in found[side]["state"].items()
            }
        return _on_first(found)

    def load_full_optim_state_dict(
        self, optim_wrapper: OptimWrapperDict, state: Mapping[str, Any]
    ) -> None:
        """Take each rank's shards out of a whole state; all ranks must call, with all of it."""
        parameters = dict(self.module.named_parameters())
        names = self._names(optim_wrapper)
        loaded = dict(state)
        for side in [side for side in names if side in state]:  # in the same order on all ranks
            spread = {}
            for index, of in state[side]["state"].items():
                name = names[side][index]
                like = parameters[name]
                shape = torch.Size(()) if name in self._scalars else like.shape
                spread[index] = {
                    # the number of steps, also a tensor without dimensions, is not spread
                    key: self.shard(name, value, like)
                    if isinstance(value, Tensor) and value.shape == shape and key != "step"
                    else value
                    for key, value in of.items()
                }
            loaded[side] = {**state[side], "state": spread}
        optim_wrapper.load_state_dict(loaded)

    def _names(self, optim_wrapper: OptimWrapperDict) -> dict[str, list[str]]:
        """Names of the parameters of each optimiser, in its order."""
        known = {id(p): name for name, p in self.module.named_parameters()}
        found = {}
        for side, wrapper in optim_wrapper.items():
            groups = wrapper.optimizer.param_groups
            found[side] = [known[id(p)] for group in groups for p in group["params"]]
        return found

    @staticmethod
    def _of_state(function: Callable[[str, Tensor], Tensor], name: str, value: Any) -> Any:
        return function(name, value) if isinstance(value, Tensor) else value


def local(value: Tensor) -> Tensor:
    """This rank's part of a tensor: its shard, or the tensor itself where it is not sharded. The
    part shares the tensor's memory."""
    return value.to_local() if isinstance(value, _DTensor) else value


def _fully_shard() -> Callable[..., Any]:
    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        raise ConfigError(
            f"model_wrapper_cfg.type is SeparateFSDP, which needs torch 2.6 or newer; this is "
            f"{torch.__version__}: upgrade torch, or leave model_wrapper_cfg out (DDP)"
        ) from error
    return fully_shard


def _register_flows() -> None:
    """Let torch find the tensors in what flows between modules, whose gradients tell it when to
    gather parameters."""
    from torch.utils import _pytree

    # by what they hold: read as a field, the ids of a label map would become a dense map
    for kind in (*FLOWS, OneHot):
        if kind not in _pytree.SUPPORTED_NODES:
            _pytree.register_pytree_node(kind, _taken_apart, partial(_put_together, kind))


def _taken_apart(flow: Any) -> tuple[list[Any], tuple[str, ...]]:
    names = ("ids", "channels") if isinstance(flow, OneHot) else tuple(vars(flow))
    return [vars(flow)[name] for name in names], names


def _put_together(kind: type, values: Iterable[Any], names: tuple[str, ...]) -> Any:
    return kind(**dict(zip(names, values, strict=True)))


def _checked(module: nn.Module, units: Sequence[str] | None) -> frozenset[str]:
    known = sorted({type(part).__name__ for part in module.modules()})
    for name in units or ():
        if name not in known:
            raise ConfigError(
                f"model_wrapper_cfg.units names {name!r}, but no module of the model is of that "
                f"class{near_matches(name, known)}"
            )
    return frozenset(BLOCKS if units is None else units)


def _units(child: nn.Module, classes: frozenset[str]) -> list[nn.Module]:
    """Parts of `child` with parameters that become units, inner ones first."""
    parts = list(child.children())
    found = []
    for part in reversed(list(child.modules())):
        container = isinstance(part, nn.ModuleList | nn.ModuleDict)
        wanted = type(part).__name__ in classes or any(part is p for p in parts)
        if wanted and not container and next(part.parameters(), None) is not None:
            found.append(part)
    return [part for part in found if part is not child]


def _scalars_as_vectors(module: nn.Module) -> frozenset[str]:
    """Make parameters without dimensions, which torch cannot shard, vectors of one value.

    Broadcasting hides the difference from the modules; whole states have the original shape.
    """
    found = set()
    for prefix, part in module.named_modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if parameter.dim() == 0:
                vector = nn.Parameter(parameter.detach().view(1), parameter.requires_grad)
                setattr(part, name, vector)
                found.add(f"{prefix}.{name}" if prefix else name)
    return frozenset(found)


def _on_first(state: dict[str, Any]) -> dict[str, Any]:
    return state if dist.get_rank() == 0 else {}
