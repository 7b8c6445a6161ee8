"""MCL-Net on ADE20K, 256 x 256: photographs through DINOv2's ViT-S/14 with registers, label maps
through the toolkit's own encoder.

Fill in `model.image_encoder.weights`: the path of the file (DINOv2's authors' or timm's), or 'timm'
for timm's download. The transformer is frozen and only its decoder is trained; with
`frozen_backbone=False` it trains too, at the rate of all the rest. It sees 252 x 252 pixels, 18
patches a side: the size nearest to 256 x 256 that 14-pixel patches fill.
"""

_base_ = "mcltoolkit::mclnet_ade20k.py"
plugins = ["mcltoolkit_backbones"]

model = dict(
    condition_encoder=dict(out_channels=256),  # as many as the other side, at the same stride
    image_encoder=dict(
        _delete_=True,
        type="TimmEncoder",
        model="vit_small_patch14_reg4_dinov2",
        weights=None,
        frozen_backbone=True,
        img_size="nearest",
        out_channels=256,
    ),
)
