"""MCL-Net on the embedded synthetic scenes: minutes on a laptop, no pretrained features needed."""

_base_ = [
    "_base_/runtime.py",
    "_base_/schedule_ttur.py",
    "_base_/data_scenes.py",
    "_base_/mclnet.py",
]

encoder = dict(base_width=16, spade_hidden=16, spade_blocks=1)
model = dict(
    condition_channels=_base_.num_classes,
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=dict(pooled=8, hidden=64, out_channels=64),
    correspondence=dict(mask_mix=True, hidden=64, embed=32, blocks=2),
    generator=dict(base_width=16, ups=3, spade_hidden=16),
    discriminator=dict(base_width=16, layers=3),
    vgg=None,
    losses=dict(
        # no pretrained features: pixels take the place of the VGG-19 terms
        per=None,
        cxt=None,
        pse=dict(_delete_=True, type="PixelPseudoPairLoss", weight=30.0),
        adv=dict(weight=0.5),
        feature_matching=dict(weight=2.0),
        mask=dict(type="MaskLoss", weight=4.0, ignore_label=None),
        # at this size feature consistency draws both encoders to one constant vector
        fcst=None,
        mcl=dict(weight=2.0),
    ),
)
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=1e-3, betas=(0.5, 0.999))),
    discriminator=dict(optimizer=dict(lr=1e-3, betas=(0.5, 0.999))),
)
memory_format = "channels_last"  # narrow layers: measured faster on CPUs
train_cfg = dict(type="TranslationTrainLoop", max_iters=350, val_interval=100)
default_hooks = dict(checkpoint=dict(interval=200))
