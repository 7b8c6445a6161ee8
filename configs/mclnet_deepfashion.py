"""MCL-Net on DeepFashion poses: 256 x 256, 100 epochs, batch 32 on 4 GPUs, SyncBN.

The exemplar is warped in whole pixel patches; no labels take part.
"""

_base_ = [
    "_base_/runtime.py",
    "_base_/schedule_ttur.py",
    "_base_/data_deepfashion.py",
    "_base_/mclnet.py",
]

encoder = dict(spade_norm="syncbn", stride_kernel=4)
model = dict(
    condition_channels=_base_.condition_channels,
    condition_encoder=encoder,
    image_encoder=encoder,
    correspondence=dict(warp="patch"),
    losses=dict(self_warp=dict(type="SelfWarpLoss", weight=100.0)),
)
train_cfg = dict(type="TranslationTrainLoop", max_epochs=100, val_interval=5000)
