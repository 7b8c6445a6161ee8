"""SPADE with a style encoder, fed the exemplar, which has the truth's style in all scenes."""

_base_ = "spade.py"

model = dict(
    generator=dict(
        use_vae=True,
        style=dict(style_channels=64, base_width=8, layers=3, init_gain=1.0),
        start_grid=(12, 12),
    ),
    losses=dict(kl=dict(type="StyleKLLoss", weight=0.001)),
)
