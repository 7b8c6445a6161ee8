"""PatchNCE between output and truth in the place of the contrast between condition and truth."""

_base_ = "compare_small.py"

model = dict(
    losses=dict(
        mcl=dict(
            _delete_=True,
            type="PatchNCELoss",
            weight=0.1,
            width_divisor=_base_.model.vgg.width_divisor,
        ),
    ),
)
