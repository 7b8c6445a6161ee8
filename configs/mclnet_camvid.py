"""MCL-Net on a plain folder of street scenes, 64 x 96, small enough for a CPU.

Needs no pretrained features: the pixel pseudo-pair takes the place of the VGG-19 terms. Test with
`test_dataloader.dataset.exemplar_choice.mode=self` for PSNR and SSIM on self-exemplar pairs.
"""

_base_ = ["_base_/preset_small.py", "_base_/data_camvid.py"]

model = dict(
    condition_channels=_base_.num_classes,
    losses=dict(mask=dict(ignore_label=_base_.ignore_label)),
)
