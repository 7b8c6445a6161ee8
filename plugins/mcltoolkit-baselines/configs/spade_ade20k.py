"""SPADE on ADE20K with the published settings: 256 x 256, 200 epochs, batch 32, SyncBN.

Hinge loss, feature matching 10, VGG-19 reconstruction 10; Adam with the rates 1e-4 and 4e-4 and the
released betas of 0 and 0.9 (the paper says 0.999).

The exemplar is not read and every sample's own truth is the target. So the exemplar is the truth
itself, which saves reading a second photo a sample, is what `spade_vae_ade20k.py` needs, and lets
evaluation compare with the truth. Needs VGG-19 weights (--vgg-weights).
"""

_base_ = [
    "mcltoolkit::_base_/runtime.py",
    "mcltoolkit::_base_/schedule_ttur.py",
    "mcltoolkit::_base_/data_ade20k.py",
]

plugins = ["mcltoolkit_baselines"]
model = dict(
    type="ExemplarGAN",
    condition_channels=_base_.num_classes,
    condition_encoder=None,
    image_encoder=None,
    correspondence=dict(type="IdentityCorrespondence"),
    generator=dict(type="SPADEImageGenerator", base_width=64, ups=4, spade_norm="syncbn"),
    discriminator=dict(
        type="MultiScaleDiscriminator", base_width=64, layers=4, scales=2, attention=False
    ),
    vgg=dict(type="VGG19Features", weights=None),  # a path, 'torchvision', or 'random' for trials
    losses=dict(
        adv=dict(type="HingeAdversarialLoss", weight=1.0),
        feature_matching=dict(type="FeatureMatchingLoss", weight=10.0),
        rec=dict(type="VGGReconstructionLoss", weight=10.0),
    ),
)
optim_wrapper = dict(
    generator=dict(optimizer=dict(betas=(0.0, 0.9))),
    discriminator=dict(optimizer=dict(betas=(0.0, 0.9))),
)
param_scheduler = dict(steps=100)  # one an epoch of the decay
train_dataloader = dict(dataset=dict(exemplar_choice=dict(_delete_=True, mode="self")))
val_dataloader = dict(dataset=dict(exemplar_choice=dict(mode="self")))
test_dataloader = val_dataloader
train_cfg = dict(type="TranslationTrainLoop", max_epochs=200, val_interval=5000)
# no metric of the match: there is none
val_evaluator = [dict(type="ImageQuality")]
test_evaluator = val_evaluator
