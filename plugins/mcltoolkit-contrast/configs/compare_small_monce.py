"""MoNCE between condition and truth: the InfoNCE row with weighted negatives, and nothing else."""

_base_ = "compare_small.py"

model = dict(
    losses=dict(
        mcl=dict(
            _delete_=True,
            type="ModulatedContrastLoss",
            weight=0.1,
            features="descriptors",
            positions=None,
            detach_keys=False,
            iterations=50,
        ),
    ),
)
