"""Small scenes without labels in the match, on which compare.yaml stands.

The margins that are compared all cost a pair at right angles about the same, 0.25.
"""

_base_ = "mcltoolkit::ablations/scenes_small.py"

plugins = ["mcltoolkit_contrast"]
model = dict(correspondence=dict(mask_mix=False), losses=dict(mask=None))
train_cfg = dict(max_iters=300)
default_hooks = dict(checkpoint=dict(interval=300))
