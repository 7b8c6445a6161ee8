"""MCL-Net on the synthetic scenes, with MyPart."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["my_plugin"]
model = dict(losses=dict(my_term=dict(type="MyPart", weight=1.0)))
