"""What the toolkit relies on in a generator."""

from mcltoolkit.testing import GeneratorTests


class TestMyPart(GeneratorTests):
    component = "MyPart"
    settings = dict(width=8, blocks=2)
    plugins = ("my_plugin",)
