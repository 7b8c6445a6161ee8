"""MCL-Net on CelebA-HQ edges: 256 x 256, 60 epochs, batch 32 on 4 GPUs, SyncBN.

Kernels of 4 in the encoders' strided layers, as in the checkpoint that CoCosNet releases.
"""

_base_ = [
    "_base_/runtime.py",
    "_base_/schedule_ttur.py",
    "_base_/data_celebahq_edge.py",
    "_base_/mclnet.py",
]

encoder = dict(spade_norm="syncbn", stride_kernel=4)
model = dict(
    condition_channels=_base_.condition_channels,
    condition_encoder=encoder,
    image_encoder=encoder,
    correspondence=dict(mask_mix=True, upsample="bilinear"),
)
train_cfg = dict(type="TranslationTrainLoop", max_epochs=60, val_interval=5000)
