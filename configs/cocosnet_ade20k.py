"""CoCosNet on ADE20K with the released settings: MCL-Net without its two additions, PONO, Adam as
released."""

_base_ = "mclnet_ade20k.py"

model = dict(
    self_correlation=None,
    generator=dict(spade_norm="pono"),
    losses=dict(mcl=None, cyc=None),
)
optim_wrapper = dict(
    generator=dict(optimizer=dict(betas=(0.0, 0.9), eps=1e-3)),
    discriminator=dict(optimizer=dict(betas=(0.0, 0.9))),
)
