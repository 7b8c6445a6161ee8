"""What the toolkit relies on in a discriminator."""

from mcltoolkit.testing import DiscriminatorTests


class TestMyPart(DiscriminatorTests):
    component = "MyPart"
    settings = dict(width=4)
    plugins = ("my_plugin",)
