"""What compare.yaml starts from: the toolkit's small scenes, this package loaded."""

_base_ = "mcltoolkit::ablations/scenes_small.py"

plugins = ["mcltoolkit_backbones"]
