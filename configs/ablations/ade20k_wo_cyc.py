"""Supplement's Table 1: w/o L_cyc, the cycle loss."""

_base_ = "../mclnet_ade20k.py"

model = dict(losses=dict(cyc=None))
