"""What the toolkit asks of every component."""

from mcltoolkit.testing import CorrespondenceTests, EncoderTests, LossTests

PLUGINS = ("mcltoolkit_cocosnet2",)
SMALL = dict(
    levels=2, candidates=3, iterations=2, radius=2, width=6, embed=4, hidden=4, temperature=0.1,
    coarse=dict(embed=4, blocks=1),
)  # fmt: skip


class TestHierarchical(CorrespondenceTests):
    component = "HierarchicalCorrespondence"
    settings = SMALL
    plugins = PLUGINS


class TestWithoutRefinement(CorrespondenceTests):
    component = "HierarchicalCorrespondence"
    settings = {**SMALL, "refine": False, "mask_mix": True, "labels_level": 1}
    plugins = PLUGINS


class TestStrided(EncoderTests):
    component = "StridedEncoder"
    settings = dict(
        halvings=1,
        width=4,
        encoder=dict(type="DomainEncoder", base_width=2, spade_hidden=2, spade_blocks=1),
    )
    plugins = PLUGINS


class TestLevelMask(LossTests):
    component = "LevelMaskLoss"
    settings = dict(weight=1.0, ignore_label=None)
    model = dict(correspondence=dict(type="HierarchicalCorrespondence", **SMALL))
    plugins = PLUGINS


class TestLevelWarp(LossTests):
    component = "LevelWarpLoss"
    settings = dict(weight=1.0)
    model = dict(correspondence=dict(type="HierarchicalCorrespondence", **SMALL))
    plugins = PLUGINS
