"""CoCosNet with the marginal contrastive loss of mclnet_ade20k.py, and nothing else of MCL-Net."""

_base_ = "table1_cocosnet.py"

model = dict(
    losses=dict(
        mcl=dict(
            _delete_=True,
            type="MarginalContrastiveLoss",
            weight=0.01,
            temperature=0.07,
            margin=0.25,
            margin_schedule=dict(begin=0.4, end=0.7),
        ),
    ),
)
