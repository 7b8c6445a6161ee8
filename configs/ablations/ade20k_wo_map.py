"""MCL-Net without the self-correlation map: the appearance features alone are matched."""

_base_ = "table1_mclnet.py"

model = dict(self_correlation=None)
