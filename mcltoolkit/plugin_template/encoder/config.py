"""MCL-Net on the synthetic scenes, with MyPart on both sides."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["my_plugin"]
encoder = dict(_delete_=True, type="MyPart", width=64)  # nothing of the inherited encoder stays
model = dict(condition_encoder=encoder, image_encoder=encoder)
