"""MCL-Net on the synthetic scenes, with MyPart."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["my_plugin"]
# `_delete_`: nothing of the inherited discriminator stays
model = dict(discriminator=dict(_delete_=True, type="MyPart", width=16))
