"""CoCosNet on DeepFashion poses with the released settings.

MCL-Net without its two additions; PONO, Adam and learning rate as released.
"""

_base_ = "mclnet_deepfashion.py"

encoder = dict(spade_norm="pono")
model = dict(
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=None,
    correspondence=dict(hidden=None),
    losses=dict(mcl=None, cyc=None, pse=dict(released=True), self_warp=dict(released=True)),
)
optim_wrapper = dict(
    generator=dict(optimizer=dict(betas=(0.0, 0.9), eps=1e-3)),
    discriminator=dict(optimizer=dict(betas=(0.0, 0.9))),
)
param_scheduler = dict(steps=50)  # one an epoch
