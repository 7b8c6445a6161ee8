"""Supplement's Table 1: w/o L_cyc, the cycle loss."""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(cyc=None))
