"""Everything but the data for a small MCL-Net on label maps: a CPU will do, no pretrained features.

Set model.condition_channels and the mask loss's ignore_label to fit the data.
"""

_base_ = ["runtime.py", "schedule_ttur.py", "mclnet.py"]

encoder = dict(base_width=16, spade_hidden=16, spade_blocks=1)
model = dict(
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=dict(pooled=8, hidden=64, out_channels=64),
    correspondence=dict(mask_mix=True, hidden=64, embed=32, blocks=2, upsample="bilinear"),
    generator=dict(base_width=16, ups=3, spade_hidden=16),
    discriminator=dict(base_width=16, layers=3),
    vgg=None,
    losses=dict(
        per=None,
        cxt=None,
        pse=dict(_delete_=True, type="PixelPseudoPairLoss", weight=10.0),
        adv=dict(weight=1.0),
        feature_matching=dict(weight=5.0),
        mask=dict(type="MaskLoss", weight=1.0, ignore_label=None),
        fcst=None,  # see ../mclnet_scenes.py
        mcl=dict(weight=1.0),
    ),
)
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=5e-4, betas=(0.5, 0.999))),
    discriminator=dict(optimizer=dict(lr=5e-4, betas=(0.5, 0.999))),
)
train_cfg = dict(type="TranslationTrainLoop", max_iters=2000, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500))
