"""SPADE with a style encoder, fed the exemplar, which has the truth's style in all scenes.

The encoder has batch norm, not instance norm as published: that takes each picture's own colours
away (see the README).
"""

_base_ = "spade.py"

model = dict(
    generator=dict(
        use_vae=True,
        style=dict(style_channels=64, base_width=8, layers=3, norm="syncbn", init_gain=1.0),
        start_grid=(12, 12),
    ),
    losses=dict(kl=dict(type="StyleKLLoss", weight=0.001)),
)
