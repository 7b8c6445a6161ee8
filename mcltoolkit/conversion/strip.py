"""Tensors and plain values out of a file that holds pickled objects as well, running none of them.

The unpickler knows the few functions that put tensors together. Whatever else a file names becomes
an empty stand-in, which is never called as what it says it is, and is left out in the end.
"""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mcltoolkit.engine.files import save_whole
from mcltoolkit.errors import WeightsError

ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    **{
        ("torch._utils", name): getattr(torch._utils, name)
        for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
    },
}


class _StandIn:
    """In place of an object of a class that is not known."""

    def __new__(cls, *args: Any, **kwargs: Any) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def ignore(self, *args: Any, **kwargs: Any) -> None:
        """What an unpickler may do to an object."""

    __setstate__ = __setitem__ = append = extend = add = update = __call__ = ignore


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        return type(name, (_StandIn,), {"__module__": module})


def _load(file: Any, **kwargs: Any) -> Any:
    return _Unpickler(file, **kwargs).load()


def strip(path: str | Path, out: str | Path) -> list[str]:
    """Save the tensors and plain values of a file as a plain one.

    Args:
        path: what `torch.save` wrote, whatever it holds.
        out: the file to write; a new one.

    Returns:
        What was left out, by its place in the file and its class.

    Raises:
        WeightsError: the file cannot be read, or holds no tensor; or `out` exists.
    """
    if Path(out).exists():
        raise WeightsError(f"{out} exists already; give another name for the stripped file")
    own = SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="pickle")
    try:
        content = torch.load(path, map_location="cpu", pickle_module=own, weights_only=False)
    except Exception as error:  # a broken file makes an unpickler stumble in many ways
        raise WeightsError(
            f"{path} cannot be read, not even without its objects ({type(error).__name__}: "
            f"{str(error).strip().splitlines()[0] if str(error).strip() else ''}); use a whole file"
        ) from error
    left_out: list[str] = []
    kept = _plain(content, "", left_out)
    if not any(isinstance(value, Tensor) for value in _leaves(kept)):
        raise WeightsError(
            f"{path} holds no tensor outside of objects, so nothing is left of it; it holds "
            f"{', '.join(left_out[:5]) or 'plain values alone'}. Save model.state_dict() where its "
            f"code is at home"
        )
    save_whole(kept, out)
    return left_out


class _Gone:
    pass


def _plain(value: Any, where: str, left_out: list[str]) -> Any:
    if isinstance(value, dict):
        items = {k: _plain(v, f"{where}.{k}".lstrip("."), left_out) for k, v in value.items()}
        named = {k: v for k, v in items.items() if isinstance(k, str | int | float | bool)}
        return {k: v for k, v in named.items() if v is not _Gone}
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        items_of = [_plain(v, f"{where}[{i}]", left_out) for i, v in enumerate(value)]
        kept = [v for v in items_of if v is not _Gone]
        return tuple(kept) if isinstance(value, tuple) else kept
    if isinstance(value, Tensor):
        return value.detach()
    plain = (str, int, float, bool, complex, bytes, torch.Size, torch.dtype, torch.device)
    if value is None or type(value) in plain:
        return value
    kind = value if isinstance(value, type) else type(value)
    left_out.append(f"{where or 'the whole content'} ({kind.__module__}.{kind.__qualname__})")
    return _Gone


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]
