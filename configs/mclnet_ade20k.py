"""MCL-Net on ADE20K: 256 x 256, 200 epochs, batch 32 on 4 GPUs, SyncBN.

The supplement's Fig. 1 puts positional norm into the generator, and its section 3 trains with
synchronised BatchNorm: here that stands in the encoders' SPADE layers.
"""

_base_ = [
    "_base_/runtime.py",
    "_base_/schedule_ttur.py",
    "_base_/data_ade20k.py",
    "_base_/mclnet.py",
]

encoder = dict(spade_norm="syncbn")
model = dict(
    condition_channels=_base_.num_classes,
    condition_encoder=encoder,
    image_encoder=encoder,
    correspondence=dict(mask_mix=True),
    losses=dict(
        per=dict(layer="relu5_2", weight=0.01),
        pse=dict(weight=1.0),
        mask=dict(type="MaskLoss", weight=100.0, ignore_label=_base_.ignore_label),
    ),
)
train_cfg = dict(type="TranslationTrainLoop", max_epochs=200, val_interval=5000)
