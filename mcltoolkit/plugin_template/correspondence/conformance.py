"""What the toolkit relies on in a correspondence."""

from mcltoolkit.testing import CorrespondenceTests


class TestMyPart(CorrespondenceTests):
    component = "MyPart"
    settings = dict(embed=8)
    plugins = ("my_plugin",)
