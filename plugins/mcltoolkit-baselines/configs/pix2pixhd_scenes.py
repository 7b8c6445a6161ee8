"""pix2pixHD on the embedded synthetic scenes: mask to image, the exemplar is not read."""

_base_ = "spade_scenes.py"

model = dict(
    generator=dict(_delete_=True, type="Pix2PixHDGenerator", base_width=16, downs=3, blocks=3),
    losses=dict(adv=dict(_delete_=True, type="LSGANLoss", weight=0.5)),
)
