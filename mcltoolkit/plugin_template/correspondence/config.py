"""MCL-Net on the synthetic scenes, with MyPart."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["my_plugin"]
# `_delete_`: nothing of the inherited correspondence stays
model = dict(correspondence=dict(_delete_=True, type="MyPart", embed=32))
