"""SPADE on the embedded synthetic scenes: mask to image, the exemplar is not read.

Every scene's style is drawn anew, and the mask does not tell it: the best that can be painted is
the mean of all styles, a plain grey.
"""

_base_ = [
    "mcltoolkit::_base_/runtime.py",
    "mcltoolkit::_base_/schedule_ttur.py",
    "mcltoolkit::_base_/data_scenes.py",
]

plugins = ["mcltoolkit_baselines"]
model = dict(
    type="ExemplarGAN",
    condition_channels=_base_.num_classes,
    condition_encoder=None,
    image_encoder=None,
    correspondence=dict(type="IdentityCorrespondence"),
    generator=dict(type="SPADEImageGenerator", base_width=16, ups=3, spade_hidden=16),
    discriminator=dict(type="MultiScaleDiscriminator", base_width=16, layers=3, attention=False),
    vgg=None,
    losses=dict(
        # no pretrained features: pixels take the place of the VGG-19 term; all scenes are paired
        rec=dict(type="PixelPseudoPairLoss", weight=20.0),
        adv=dict(type="HingeAdversarialLoss", weight=0.5),
        feature_matching=dict(type="FeatureMatchingLoss", weight=2.0),
    ),
)
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=1e-3, betas=(0.5, 0.999))),
    discriminator=dict(optimizer=dict(lr=1e-3, betas=(0.5, 0.999))),
)
train_cfg = dict(type="TranslationTrainLoop", max_iters=400, val_interval=100)
default_hooks = dict(checkpoint=dict(interval=200))
# no metric of the match: there is none
val_evaluator = [dict(type="ImageQuality")]
test_evaluator = val_evaluator
