"""Supplement's Table 1: w/o L_per, the perceptual loss."""

_base_ = "../mclnet_ade20k.py"

model = dict(losses=dict(per=None))
