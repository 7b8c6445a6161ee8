"""Transport correspondence on ADE20K at 256 x 256, on the 64 x 64 grid, with CoCosNet's recipe.

UNITE (Zhan et al., CVPR 2021) has a generator of its own besides; here CoCosNet's paints, so that
the match is all that differs from `mcltoolkit::cocosnet_ade20k.py`. Epsilon is the released one.
"""

_base_ = "mcltoolkit::cocosnet_ade20k.py"

plugins = ["mcltoolkit_unite"]
model = dict(
    correspondence=dict(
        _delete_=True,
        type="TransportCorrespondence",
        mask_mix=True,
        neighbourhood=3,
        centre="channels",
        epsilon=0.025,
        rho=0.1,
        iterations=10,
        weights="learned",
        block=512,
    ),
)
