"""MCL-Net on ADE20K: 256 x 256, 200 epochs, batch 32 on 4 GPUs, SyncBN in the SPADE layers."""

_base_ = [
    "_base_/runtime.py",
    "_base_/schedule_ttur.py",
    "_base_/data_ade20k.py",
    "_base_/mclnet.py",
]

model = dict(
    condition_channels=_base_.num_classes,
    correspondence=dict(mask_mix=True, centre="channels"),
    generator=dict(spade_norm="syncbn"),
    losses=dict(
        per=dict(layer="relu5_2", weight=0.01),
        pse=dict(weight=1.0),
        mask=dict(type="MaskLoss", weight=100.0, ignore_label=_base_.ignore_label),
    ),
)
train_cfg = dict(type="TranslationTrainLoop", max_epochs=200, val_interval=5000)
