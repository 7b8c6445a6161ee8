"""MCL-Net on ADE20K with PatchNCE between output and truth in the place of the perceptual loss."""

_base_ = "contrast_ade20k.py"

model = dict(losses=dict(per=dict(type="PatchNCELoss")))
