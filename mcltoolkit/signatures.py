"""What the toolkit will call, held against what a plugin has, before anything is called.

A component whose `forward` cannot take the toolkit's arguments would fail in the middle of a run,
with a TypeError that names neither plugin nor remedy. What it is given is what
`mcltoolkit.interfaces` says. Only classes are looked at; `*args` and
`**kwargs` take everything, and what a class works out as it is built is seen only then.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pluggy
from torch import nn

from mcltoolkit import interfaces
from mcltoolkit.errors import PluginError, near_matches
from mcltoolkit.interfaces import FILLED_IN
from mcltoolkit.registry import REGISTRIES


class SignatureError(PluginError):
    """A class or hook that cannot take what the toolkit gives it.

    Attributes:
        place: `FILE:LINE` of it, as far as known.
        remedy: what to do about it.
    """

    def __init__(
        self,
        message: str,
        place: str = "",
        remedy: str = "Give it these arguments, update the plugin",
    ) -> None:
        super().__init__(message)
        self.place = place
        self.remedy = remedy


@dataclass(frozen=True)
class Call:
    """How the toolkit builds and calls a component.

    Attributes:
        settings: keywords that the toolkit fills in when it builds the component.
        inputs: positional arguments of `forward`.
        what: a name for messages, where a registry holds two kinds.
    """

    settings: tuple[str, ...]
    inputs: tuple[str, ...]
    what: str = ""


def _call(protocol: type, what: str = "") -> Call:
    _, *inputs = inspect.signature(protocol.forward).parameters  # type: ignore[attr-defined]
    return Call(FILLED_IN[protocol.__name__.lower()], tuple(inputs), what)


CALLS: Mapping[str, Sequence[Call]] = {
    "encoders": [_call(interfaces.Encoder)],
    "correspondences": [
        _call(interfaces.Correspondence, " of a correspondence"),
        _call(interfaces.Descriptor, " of a descriptor"),
    ],
    "generators": [_call(interfaces.Generator)],
    "discriminators": [_call(interfaces.Discriminator)],
    "losses": [Call(("weight",), ("translation",))],
}


def check_components(components: Mapping[str, Mapping[str, Any]]) -> None:
    """Check the classes that a plugin registered.

    Args:
        components: {kind of registry: {name: class}}; kinds that the toolkit does not call itself
            and components that are no classes pass.

    Raises:
        SignatureError: names class, what was found and what is needed.
    """
    for kind, members in components.items():
        for name, component in members.items():
            if kind in CALLS and inspect.isclass(component):
                problem = _problem(kind, component)
                if problem:
                    what = REGISTRIES[kind].name
                    raise SignatureError(f"{what} {name!r}: {problem}", place(component))


def check_hooks(manager: pluggy.PluginManager, plugin: Any, contract: Any) -> list[str]:
    """Names of the hooks that a plugin implements; those that are unknown and marked as optional
    are left out.

    Args:
        manager: knows which functions are marked.
        contract: module with the functions of the contract.

    Raises:
        SignatureError: a hook that the contract does not have, or one with other arguments.
    """
    known = {
        name: list(inspect.signature(function).parameters)
        for name, function in vars(contract).items()
        if manager.parse_hookspec_opts(contract, name) is not None
    }
    found = []
    for attribute in dir(plugin):
        options = manager.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            continue
        function, name = getattr(plugin, attribute), options.get("specname") or attribute
        if name not in known and options.get("optionalhook"):
            continue
        if name not in known:
            raise SignatureError(
                f"the contract has no hook {name!r}{near_matches(name, known)}; its hooks are "
                f"{', '.join(known)}",
                place(function),
                "Correct the name, update mcltoolkit if the plugin was made for a newer one, mark "
                "the function with hookimpl(optionalhook=True)",
            )
        others = [argument for argument in _needed(function) if argument not in known[name]]
        if others:
            raise SignatureError(
                f"its hook {name}{inspect.signature(function)} wants {', '.join(others)}, which "
                f"the toolkit does not give; it may take {', '.join(known[name])}",
                place(function),
            )
        found.append(name)
    return found


def place(target: Any) -> str:
    """`FILE:LINE` of a class or function; its module where that cannot be told."""
    target = inspect.unwrap(target)
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]}"
    except (OSError, TypeError):
        return str(getattr(target, "__module__", ""))


def _problem(kind: str, component: type) -> str:
    from mcltoolkit.losses.base import AdversarialTerm, Loss

    if kind == "losses":
        if not issubclass(component, Loss):
            return "it is no mcltoolkit.losses.base.Loss, which every loss derives from"
        if issubclass(component, AdversarialTerm):
            refused = _refused(component, "discriminator_loss", ("fake", "real"))
            if refused:
                return refused
    problems = [next(_problems(component, call), "") for call in CALLS[kind]]
    return "; ".join(problems) if all(problems) else ""


def _problems(component: type, call: Call) -> Iterator[str]:
    settings = [*call.settings]
    if getattr(component, "needs_channels", False):
        settings.append("in_channels")
    refused = _refused(component, "forward", call.inputs, call.what)
    if refused:
        yield refused
    given = inspect.Signature() if _built_by_module(component) else _signature(component)
    if given is not None:
        try:
            given.bind_partial(**dict.fromkeys(settings))
        except TypeError as error:
            needed = ", ".join(f"{name}=" for name in settings)
            yield (
                f"{component.__name__}{given} cannot be built with {needed}{call.what} ({error})"
            )


def _refused(component: type, method: str, inputs: tuple[str, ...], what: str = "") -> str:
    """Why `component.method(*inputs)` cannot be called; empty when it can."""
    if method == "forward" and not issubclass(component, nn.Module):
        method = "__call__"
    owner = next((base for base in component.__mro__ if method in vars(base)), None)
    if owner is None or owner is nn.Module:
        return (
            f"{component.__name__} has no {method}; needed is {method}({', '.join(inputs)}){what}"
        )
    given = _signature(getattr(component, method))
    if given is None:
        return ""
    bound = isinstance(vars(owner)[method], staticmethod | classmethod)
    try:
        given.bind(*inputs) if bound else given.bind(component, *inputs)
    except TypeError as error:
        return (
            f"{component.__name__}.{method}{given} cannot be called as "
            f"{method}({', '.join(inputs)}){what} ({error})"
        )
    return ""


def _built_by_module(component: type) -> bool:
    """Whether the class has no `__init__` of its own: torch's takes no settings, whatever its
    signature says."""
    return component.__init__ is nn.Module.__init__  # type: ignore[misc]


def _signature(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def _needed(function: Any) -> list[str]:
    """Arguments that a hook cannot do without."""
    given = _signature(function)
    return (
        []
        if given is None
        else [
            name
            for name, parameter in given.parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
    )
