"""MCL-Net at the paper's size: widths of the supplement's figures, all losses of its Table 1.

What the sources leave open (the self-correlation's encoder and its joining to the appearance
features, weight and margin schedule of the contrastive term) is this toolkit's choice.
"""

encoder = dict(type="DomainEncoder", base_width=64, spade_norm="pono")
model = dict(
    type="ExemplarGAN",
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=dict(type="SelfCorrelationMap", pooled=16, hidden=256, out_channels=256),
    correspondence=dict(
        type="CosineCorrespondence",
        hidden=256,
        neighbourhood=3,
        centre="channels",
        temperature=0.01,
    ),
    generator=dict(type="SPADEGenerator", base_width=64, spade_norm="pono", attention=True),
    discriminator=dict(type="MultiScaleDiscriminator", base_width=64, attention=True),
    vgg=dict(type="VGG19Features", weights=None),  # a path, 'torchvision', or 'random' for trials
    losses=dict(
        adv=dict(type="HingeAdversarialLoss", weight=10.0),
        feature_matching=dict(type="FeatureMatchingLoss", weight=10.0),
        per=dict(type="PerceptualLoss", layer="relu4_2", weight=0.001),
        cxt=dict(type="ContextualLoss", weight=10.0),
        pse=dict(type="PseudoPairLoss", weight=10.0),
        fcst=dict(type="FeatureConsistencyLoss", weight=10.0),
        cyc=dict(type="CycleLoss", weight=1.0),
        mcl=dict(
            type="MarginalContrastiveLoss",
            weight=0.01,
            temperature=0.07,
            margin=0.25,
            margin_schedule=dict(begin=0.4, end=0.7),
        ),
    ),
)
