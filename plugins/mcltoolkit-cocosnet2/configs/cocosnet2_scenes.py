"""Hierarchical correspondence on the synthetic scenes: 16 x 16 dense, then 32 x 32 and 64 x 64."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["mcltoolkit_cocosnet2"]
model = dict(
    correspondence=dict(
        _delete_=True,
        type="HierarchicalCorrespondence",
        levels=2,
        coarse=dict(type="CosineCorrespondence", mask_mix=True, hidden=64, embed=32, blocks=2),
        candidates=4,
        iterations=2,
        radius=2,
        width=16,
        embed=16,
        hidden=16,
        mask_mix=True,
        temperature=0.05,
    ),
    losses=dict(
        levels=dict(type="LevelWarpLoss", weight=5.0),
        mask=dict(type="LevelMaskLoss", weight=1.0, ignore_label=None),
    ),
)
