"""The toolkit's conformance tests over three families."""

from mcltoolkit.testing import EncoderTests

PLUGINS = ("mcltoolkit_backbones",)
SMALL = dict(out_channels=8)


class TestConvolutional(EncoderTests):
    component = "TimmEncoder"
    plugins = PLUGINS
    settings = dict(model="test_resnet", **SMALL)


class TestHybrid(EncoderTests):
    """Of fixed size: built for the one, and pictures of the other are resized."""

    component = "TimmEncoder"
    plugins = PLUGINS
    settings = dict(model="test_coatnet", img_size=(32, 64), **SMALL)


class TestPlainTransformer(EncoderTests):
    component = "TimmEncoder"
    plugins = PLUGINS
    settings = dict(model="test_vit3", **SMALL)
