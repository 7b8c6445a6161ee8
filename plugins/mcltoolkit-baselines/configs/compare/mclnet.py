"""MCL-Net as the toolkit's ablation has it, the labels in the match, 48 x 48."""

_base_ = "mcltoolkit::ablations/scenes_small.py"

plugins = ["mcltoolkit_baselines"]
