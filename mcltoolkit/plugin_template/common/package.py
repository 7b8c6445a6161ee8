"""A plugin of mcltoolkit with a my_kind: MyPart."""

from mcltoolkit import hookimpl

contract_version = 1


@hookimpl
def register_components() -> None:
    """Importing the module registers what carries `register_module`."""
    import my_plugin.my_kind  # noqa: F401
