"""MCL-Net on CelebA-HQ part masks: 256 x 256, 60 epochs, batch 32 on 4 GPUs, SyncBN."""

_base_ = [
    "_base_/runtime.py",
    "_base_/schedule_ttur.py",
    "_base_/data_celebahq_mask.py",
    "_base_/mclnet.py",
]

encoder = dict(spade_norm="syncbn", stride_kernel=4)
model = dict(
    condition_channels=_base_.num_classes,
    condition_encoder=encoder,
    image_encoder=encoder,
    correspondence=dict(mask_mix=True, upsample="bilinear"),
    losses=dict(
        mask=dict(type="MaskLoss", weight=100.0, ignore_label=_base_.ignore_label),
    ),
)
train_cfg = dict(type="TranslationTrainLoop", max_epochs=60, val_interval=5000)
