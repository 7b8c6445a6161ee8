"""Transport correspondence on the embedded synthetic scenes: minutes on a laptop."""

_base_ = "mcltoolkit::mclnet_scenes.py"

plugins = ["mcltoolkit_unite"]
model = dict(
    correspondence=dict(
        _delete_=True,
        type="TransportCorrespondence",
        mask_mix=True,
        hidden=64,
        embed=32,
        blocks=2,
        neighbourhood=3,
        epsilon=0.025,
        rho=0.1,
        iterations=10,
        weights="learned",
    ),
)
