"""The toolkit's conformance tests of losses, for every loss and form of this package."""

from mcltoolkit.testing import LossTests

PLUGINS = ("mcltoolkit_contrast",)
VGG = dict(layers={"relu2_1": 0.25, "relu3_1": 1.0}, positions=12, hidden=8, width_divisor=16)


class TestPatchNCEOnTheOutput(LossTests):
    component = "PatchNCELoss"
    plugins = PLUGINS
    settings = dict(VGG, paired_only=True)


class TestPatchNCEOnDescriptors(LossTests):
    component = "PatchNCELoss"
    plugins = PLUGINS
    settings = dict(features="descriptors", hidden=8, negatives="batch")


class TestModulatedContrastOnTheOutput(LossTests):
    component = "ModulatedContrastLoss"
    plugins = PLUGINS
    settings = dict(VGG, weighting="easy")


class TestModulatedContrastOnEncoderFeatures(LossTests):
    component = "ModulatedContrastLoss"
    plugins = PLUGINS
    settings = dict(features="encoder", head=None, epsilon=0.1, detach_weights=False)


class TestCosineMargin(LossTests):
    component = "CosineMarginContrastiveLoss"
    plugins = PLUGINS
    settings = dict(hidden=8)


class TestMultiplicativeMargin(LossTests):
    component = "MultiplicativeMarginContrastiveLoss"
    plugins = PLUGINS
    settings = dict(margin=2.5, hidden=8)
