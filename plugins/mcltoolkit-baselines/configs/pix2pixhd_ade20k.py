"""pix2pixHD on ADE20K: the global generator at 256 x 256, as SPADE's authors compare with it.

Least squares, feature matching 10, VGG-19 reconstruction 10, Adam with rate 2e-4 and betas 0.5 and
0.999, 100 epochs and 100 of decay. The paper's own size (2048 x 1024) has three discriminator
scales and a local enhancer: `model.generator.enhancers=1 model.discriminator.scales=3`. This
toolkit's discriminator has spectral norm, which theirs has not.
"""

_base_ = "spade_ade20k.py"

model = dict(
    generator=dict(_delete_=True, type="Pix2PixHDGenerator", base_width=64, downs=4, blocks=9),
    losses=dict(adv=dict(_delete_=True, type="LSGANLoss", weight=1.0)),
)
adam = dict(lr=2e-4, betas=(0.5, 0.999))
optim_wrapper = dict(generator=dict(optimizer=adam), discriminator=dict(optimizer=adam))
