"""The multiplicative margin in the place of the additive one, on the synthetic scenes."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["mcltoolkit_contrast"]
model = dict(losses=dict(mcl=dict(type="MultiplicativeMarginContrastiveLoss", margin=1.35)))
