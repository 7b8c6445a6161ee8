"""pix2pixHD, mask to image."""

_base_ = "spade.py"

model = dict(
    generator=dict(_delete_=True, type="Pix2PixHDGenerator", base_width=8, downs=2, blocks=3),
)
