"""MoNCE in the place of the marginal contrastive loss, on the synthetic scenes."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["mcltoolkit_contrast"]
model = dict(
    losses=dict(
        mcl=dict(
            _delete_=True,
            type="ModulatedContrastLoss",
            weight=1.0,
            features="descriptors",
            detach_keys=False,
        ),
    ),
)
