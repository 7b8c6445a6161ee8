"""Supplement's Table 1: w/o L_cxt, the contextual loss."""

_base_ = "../mclnet_ade20k.py"

model = dict(losses=dict(cxt=None))
