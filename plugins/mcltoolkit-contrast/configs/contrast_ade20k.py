"""MCL-Net on ADE20K with MoNCE between output and truth in the place of the perceptual loss.

The contrast between condition and truth stays. The weight is to be tuned: no full-size run has been
made.
"""

_base_ = "mcltoolkit::mclnet_ade20k.py"

plugins = ["mcltoolkit_contrast"]
model = dict(losses=dict(per=dict(_delete_=True, type="ModulatedContrastLoss", weight=1.0)))
