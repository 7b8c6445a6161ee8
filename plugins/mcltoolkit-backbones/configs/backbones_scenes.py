"""MCL-Net on the embedded synthetic scenes with a small timm network on both sides: minutes on a
laptop, weights from scratch.

The networks see the 64 x 64 pictures as they are; any timm network will do in their place, for
instance `--cfg-options model.image_encoder.model=test_convnext`.
"""

_base_ = "mcltoolkit::mclnet_scenes.py"
plugins = ["mcltoolkit_backbones"]

encoder = dict(
    _delete_=True, type="TimmEncoder", model="test_resnet", out_channels=64, decoder_width=48
)
model = dict(condition_encoder=encoder, image_encoder=encoder)
