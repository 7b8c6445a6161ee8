"""SPADE in the size, and with the terms, of the ablation's MCL-Net that make sense without a match.

Its L1 in pixels is the reconstruction of every sample's truth, since all scenes are paired.
"""

_base_ = "mclnet.py"

model = dict(
    shift_truth=False,
    condition_encoder=None,
    image_encoder=None,
    self_correlation=None,
    correspondence=dict(_delete_=True, type="IdentityCorrespondence"),
    generator=dict(
        _delete_=True,
        type="SPADEImageGenerator",
        base_width=8,
        ups=1,
        spade_hidden=8,
        init_gain=1.0,
    ),
    losses=dict(mcl=None, cyc=None, fcst=None, mask=None, self_warp=None, cxt=None),
)
