"""Two time-scale update rule with linear decay (CoCosNet's recipe; Adam as in the supplement)."""

optim_wrapper = dict(
    constructor="GANOptimWrapperConstructor",
    generator=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.0, 0.999))),
    discriminator=dict(optimizer=dict(type="Adam", lr=4e-4, betas=(0.0, 0.999))),
)
param_scheduler = dict(type="ConstantThenLinearLR", by_epoch=False, constant=0.5)
