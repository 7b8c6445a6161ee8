"""The toolkit's cosine match on 32 x 32 scenes: what the transport is compared with.

`mcltoolkit::ablations/scenes_small.py`, labels mixed into the match, with narrower encoders and
without self-correlation, the adversarial terms, the perceptual and contextual terms on random
features, feature consistency and cycle: a run is below a CPU minute.
"""

_base_ = "mcltoolkit::ablations/scenes_small.py"

plugins = ["mcltoolkit_unite"]
size = (32, 32)
encoder = dict(base_width=8)
model = dict(
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=None,
    losses=dict(adv=None, feature_matching=None, per=None, cxt=None, fcst=None, cyc=None),
)
train_dataloader = dict(dataset=dict(size=size))
val_dataloader = dict(dataset=dict(size=size))
test_dataloader = dict(dataset=dict(size=size))
