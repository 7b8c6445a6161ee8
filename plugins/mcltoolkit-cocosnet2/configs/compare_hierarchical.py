"""As compare_cosine.py, with finer matches (16 x 16, 32 x 32) above the same coarse one (8 x 8).

The level-wise warping and mask losses take the place of their one-level forms.
"""

_base_ = "compare_cosine.py"

plugins = ["mcltoolkit_cocosnet2"]
model = dict(
    correspondence=dict(
        _delete_=True,
        type="HierarchicalCorrespondence",
        levels=2,
        coarse=dict(
            type="CosineCorrespondence",
            blocks=0,
            embed=64,
            neighbourhood=1,
            mask_mix=True,
            temperature=0.05,
        ),
        candidates=4,
        iterations=2,
        radius=2,
        width=12,
        embed=8,
        hidden=8,
        mask_mix=True,
        temperature=0.05,
    ),
    losses=dict(
        self_warp=None,
        levels=dict(type="LevelWarpLoss", weight=10.0),
        mask=dict(type="LevelMaskLoss"),
    ),
)
