"""Everything but the data for a full-size MCL-Net on label maps, as in mclnet_ade20k.py.

Needs VGG-19 weights (--vgg-weights); set model.condition_channels and the mask loss's ignore_label
to fit the data.
"""

_base_ = ["runtime.py", "schedule_ttur.py", "mclnet.py"]

encoder = dict(spade_norm="syncbn")
model = dict(
    condition_encoder=encoder,
    image_encoder=encoder,
    correspondence=dict(mask_mix=True, centre="channels"),
    losses=dict(
        per=dict(layer="relu5_2", weight=0.01),
        pse=dict(weight=1.0),
        mask=dict(type="MaskLoss", weight=100.0, ignore_label=None),
    ),
)
train_cfg = dict(type="TranslationTrainLoop", max_epochs=200, val_interval=5000)
