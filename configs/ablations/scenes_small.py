"""MCL-Net on 48 x 48 synthetic scenes with every term of the supplement's Table 1, small enough for
an ablation with seeds on two CPU cores.

Chosen on validation scenes: the correspondence embeds the features directly (the released residual
blocks and temperature do not leave chance within some hundred steps without labels), weights start
at full scale, the contrastive term is light, and the truth is shifted before it is encoded, since
contrast otherwise learns positions instead of classes. VGG-19 terms read random features, since no
pretrained ones are embedded; the self-warp term (published for DeepFashion) is what moves the match
where no labels do.
"""

_base_ = "../mclnet_scenes.py"

size = (48, 48)
encoder = dict(init_gain=1.0)
model = dict(
    shift_truth=True,
    condition_encoder=encoder,
    image_encoder=encoder,
    self_correlation=dict(pooled=6),
    correspondence=dict(blocks=0, hidden=None, embed=64, neighbourhood=1, temperature=0.05),
    generator=dict(base_width=8, ups=1, spade_hidden=8, attention=False, init_gain=1.0),
    discriminator=dict(base_width=8, layers=2, scales=1, attention=False),
    vgg=dict(_delete_=True, type="VGG19Features", weights="random", width_divisor=8),
    losses=dict(
        adv=dict(weight=0.1),
        feature_matching=dict(weight=0.5),
        per=dict(_delete_=True, type="PerceptualLoss", layer="relu4_2", weight=1.0),
        cxt=dict(
            _delete_=True, type="ContextualLoss", weight=0.1, layers=dict(relu4_2=4.0, relu3_2=2.0)
        ),
        pse=dict(weight=10.0),
        mask=dict(weight=1.0),
        self_warp=dict(type="SelfWarpLoss", weight=10.0),
        fcst=dict(_delete_=True, type="FeatureConsistencyLoss", weight=0.1),
        cyc=dict(weight=1.0),
        mcl=dict(weight=0.1),
    ),
)
train_dataloader = dict(dataset=dict(size=size), num_workers=0, persistent_workers=False)
val_dataloader = dict(dataset=dict(size=size))
test_dataloader = dict(dataset=dict(size=size))
train_cfg = dict(max_iters=400, val_interval=0)
