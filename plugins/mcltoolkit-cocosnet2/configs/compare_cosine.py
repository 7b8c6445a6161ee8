"""The match on 32 x 32 scenes: the toolkit's small ablation without the adversarial, contextual and
perceptual terms, which cost most of its time.
"""

_base_ = "mcltoolkit::ablations/scenes_small.py"

size = (32, 32)
model = dict(
    self_correlation=dict(pooled=4),
    vgg=None,
    losses=dict(adv=None, feature_matching=None, per=None, cxt=None),
)
train_dataloader = dict(dataset=dict(size=size))
val_dataloader = dict(dataset=dict(size=size))
test_dataloader = dict(dataset=dict(size=size))
