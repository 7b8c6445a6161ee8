"""What compare.yaml starts from: the toolkit's 48 x 48 scenes."""

_base_ = "mcltoolkit::ablations/scenes_small.py"
plugins = ["mcltoolkit_backbones"]
