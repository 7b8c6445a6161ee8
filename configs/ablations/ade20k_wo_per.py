"""Supplement's Table 1: w/o L_per, the perceptual loss."""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(per=None))
