"""MCL-Net with margin 0: plain InfoNCE in place of the marginal contrastive loss."""

_base_ = "../mclnet_ade20k.py"

model = dict(losses=dict(mcl=dict(margin=0.0)))
