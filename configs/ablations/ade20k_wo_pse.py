"""Supplement's Table 1: w/o L_pse, the pseudo-pair loss."""

_base_ = "../mclnet_ade20k.py"

model = dict(losses=dict(pse=None))
