"""MCL-Net with margin 0: plain InfoNCE in place of the marginal contrastive loss."""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(mcl=dict(margin=0.0)))
