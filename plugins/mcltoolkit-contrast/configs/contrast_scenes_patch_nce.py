"""PatchNCE in the place of the marginal contrastive loss, on the synthetic scenes."""

_base_ = "contrast_scenes.py"

model = dict(losses=dict(mcl=dict(type="PatchNCELoss")))
