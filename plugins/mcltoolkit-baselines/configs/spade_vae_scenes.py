"""SPADE with the style encoder on the embedded synthetic scenes.

The style is that of the exemplar, which shows another layout in the truth's style. (SPADE itself
encodes the truth, for want of such pairs: `exemplar="self"`.) Its encoder has batch norm, not
instance norm as published: that takes each picture's own colours away (see the README).
"""

_base_ = "spade_scenes.py"

model = dict(
    generator=dict(
        use_vae=True,
        style=dict(style_channels=64, base_width=16, layers=4, norm="syncbn", init_gain=1.0),
        start_grid=(4, 4),
    ),
    losses=dict(kl=dict(type="StyleKLLoss", weight=0.01)),
)
