"""What the toolkit relies on in an encoder."""

from mcltoolkit.testing import EncoderTests


class TestMyPart(EncoderTests):
    component = "MyPart"
    settings = dict(width=8)
    plugins = ("my_plugin",)
