"""The transport match of the comparison; everything else as in `compare_base.py`."""

_base_ = "compare_base.py"

model = dict(
    correspondence=dict(
        _delete_=True,
        type="TransportCorrespondence",
        mask_mix=True,
        hidden=None,
        embed=64,
        blocks=0,
        neighbourhood=1,
        centre="channels",
        epsilon=0.05,
        rho=0.1,
        iterations=10,
        weights="learned",
        block=256,
    ),
)
