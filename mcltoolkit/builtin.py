"""The built-in components, registered through the same hook as any third party's."""

from __future__ import annotations

from mcltoolkit.hookspecs import hookimpl

contract_version = 1


@hookimpl
def register_components() -> None:
    """Import the packages whose classes carry `register_module`."""
    import mcltoolkit.correspondence
    import mcltoolkit.data
    import mcltoolkit.discriminators
    import mcltoolkit.encoders
    import mcltoolkit.engine
    import mcltoolkit.generators
    import mcltoolkit.losses
    import mcltoolkit.metrics
    import mcltoolkit.models
    import mcltoolkit.visualization  # noqa: F401
