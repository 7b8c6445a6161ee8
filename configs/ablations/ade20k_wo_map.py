"""MCL-Net without the self-correlation map: the appearance features alone are matched."""

_base_ = "../mclnet_ade20k.py"

model = dict(self_correlation=None)
