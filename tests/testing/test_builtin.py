"""The built-in components pass the conformance tests that plugin authors are given."""

import pytest

from mcltoolkit.registry import (
    CORRESPONDENCES,
    DISCRIMINATORS,
    ENCODERS,
    GENERATORS,
    LOSSES,
)
from mcltoolkit.testing import (
    CorrespondenceTests,
    DescriptorTests,
    DiscriminatorTests,
    EncoderTests,
    GeneratorTests,
    LossTests,
)


class TestDomainEncoder(EncoderTests):
    component = "DomainEncoder"
    settings = dict(base_width=4, spade_hidden=4, spade_blocks=1)


class TestDomainEncoderWithEverything(EncoderTests):
    component = "DomainEncoder"
    settings = dict(
        base_width=4, spade_hidden=4, spade_blocks=2, spade_norm="syncbn", non_local=True,
        extra_blocks=True, squeeze_excitation=True, stride_kernel=4,
    )  # fmt: skip


class TestSelfCorrelationMap(DescriptorTests):
    component = "SelfCorrelationMap"
    settings = dict(pooled=4, hidden=8, out_channels=8)


class TestCosineCorrespondence(CorrespondenceTests):
    component = "CosineCorrespondence"
    settings = dict(embed=8, blocks=1)


class TestCosineCorrespondenceOfPatches(CorrespondenceTests):
    component = "CosineCorrespondence"
    settings = dict(
        embed=8, blocks=1, mask_mix=True, coordinates=True, hidden=8, warp="patch",
        centre="positions",
    )  # fmt: skip


class TestSPADEGenerator(GeneratorTests):
    component = "SPADEGenerator"
    settings = dict(base_width=4, ups=2, spade_hidden=4)


class TestMultiScaleDiscriminator(DiscriminatorTests):
    component = "MultiScaleDiscriminator"
    settings = dict(base_width=4, layers=3)


class TestHingeAdversarialLoss(LossTests):
    component = "HingeAdversarialLoss"


class TestLSGANLoss(LossTests):
    component = "LSGANLoss"


class TestVanillaGANLoss(LossTests):
    component = "VanillaGANLoss"


class TestFeatureMatchingLoss(LossTests):
    component = "FeatureMatchingLoss"


class TestPerceptualLoss(LossTests):
    component = "PerceptualLoss"
    settings = dict(layer="relu4_2")


class TestContextualLoss(LossTests):
    component = "ContextualLoss"


class TestPseudoPairLoss(LossTests):
    component = "PseudoPairLoss"


class TestPixelPseudoPairLoss(LossTests):
    component = "PixelPseudoPairLoss"


class TestSelfWarpLoss(LossTests):
    component = "SelfWarpLoss"


class TestFeatureConsistencyLoss(LossTests):
    component = "FeatureConsistencyLoss"


class TestCycleLoss(LossTests):
    component = "CycleLoss"


class TestMaskLoss(LossTests):
    component = "MaskLoss"
    settings = dict(ignore_label=None)


class TestMarginalContrastiveLoss(LossTests):
    component = "MarginalContrastiveLoss"
    settings = dict(hidden=8)


class TestMarginalContrastiveLossAsReleased(LossTests):
    component = "MarginalContrastiveLoss"
    settings = dict(head=None, detach="image", positions=16, features="encoder", temperature=0.05)


@pytest.mark.parametrize(
    "registry",
    [ENCODERS, CORRESPONDENCES, GENERATORS, DISCRIMINATORS, LOSSES],
    ids=lambda r: r.name,
)
def test_no_builtin_component_is_left_out(registry):
    tested = {
        value.component
        for value in globals().values()
        if isinstance(value, type) and getattr(value, "component", "")
    }
    registry.import_from_location()
    ours = {n for n, c in registry.module_dict.items() if c.__module__.startswith("mcltoolkit.")}
    assert ours - tested == set()
