"""The toolkit's cosine match on 48 x 48 scenes without labels: what the transport is compared with.

`mcltoolkit::ablations/scenes_small.py` without what does not move the match at this size: the
adversarial terms, perceptual and contextual terms on random features, feature consistency, cycle,
self-correlation.
"""

_base_ = "mcltoolkit::ablations/scenes_small.py"

plugins = ["mcltoolkit_unite"]
model = dict(
    self_correlation=None,
    correspondence=dict(mask_mix=False),
    losses=dict(
        adv=None, feature_matching=None, per=None, cxt=None, fcst=None, cyc=None, mask=None
    ),
)
train_dataloader = dict(batch_size=4)
