"""Hierarchical correspondence on ADE20K at 512 x 512: 64 x 64 dense, then 128, 256 and 512.

The encoders of MCL-Net's full-size recipe behind one more halving; candidates, iterations, GRU and
temperature as in the authors' code of CoCosNet v2. What that code has for DeepFashion-HD only
(weight of the warping loss) is this package's choice here. Attention in the generator would
compare 256 x 256 positions with a quarter of them, so it is off.
"""

_base_ = "mcltoolkit::cocosnet_ade20k.py"

plugins = ["mcltoolkit_cocosnet2"]
encoder = dict(
    _delete_=True,
    type="StridedEncoder",
    halvings=1,
    width=64,
    encoder=dict(type="DomainEncoder", base_width=64, spade_norm="pono"),
)
model = dict(
    condition_encoder=encoder,
    image_encoder=encoder,
    correspondence=dict(
        _delete_=True,
        type="HierarchicalCorrespondence",
        levels=3,
        coarse=dict(type="CosineCorrespondence", mask_mix=True, hidden=None),
        candidates=16,
        iterations=5,
        hidden=32,
        recompute=True,
        width=64,
        embed=32,
        mask_mix=True,
        temperature=0.01,
        labels_level=1,
    ),
    generator=dict(attention=False),
    losses=dict(
        levels=dict(type="LevelWarpLoss", weight=100.0),
        mask=dict(type="LevelMaskLoss", weight=100.0),  # 64 x 64 and 128 x 128
    ),
)
crop = [dict(type="RandomCrop", height=512, width=512), dict(type="HorizontalFlip", p=0.5)]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(geometry=[dict(type="PILResize", height=572, width=572), *crop]),
)
val_dataloader = dict(
    batch_size=1, dataset=dict(geometry=[dict(type="PILResize", height=512, width=512)])
)
test_dataloader = val_dataloader
