"""The cosine margin in the place of the additive angular one, on the synthetic scenes."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["mcltoolkit_contrast"]
model = dict(losses=dict(mcl=dict(type="CosineMarginContrastiveLoss", margin=0.35)))
