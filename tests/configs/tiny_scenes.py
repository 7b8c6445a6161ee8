"""The main job, small enough for a test: 32 x 32 scenes, a few steps."""

_base_ = "../../configs/mclnet_scenes.py"

encoder = dict(base_width=4, spade_hidden=4)
model = dict(
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=dict(pooled=4, hidden=8, out_channels=8),
    correspondence=dict(embed=8, blocks=1),
    generator=dict(base_width=4, ups=2, spade_hidden=4),
    discriminator=dict(base_width=4, layers=3),
    losses=dict(pse=dict(weight=20.0), mask=dict(weight=1.0), mcl=dict(weight=1.0, hidden=8)),
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(size=(32, 32), length=8),
)
val_dataloader = dict(batch_size=2, dataset=dict(size=(32, 32), length=4))
test_dataloader = dict(batch_size=2, dataset=dict(size=(32, 32), length=5))
train_cfg = dict(max_iters=6, val_interval=3)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
