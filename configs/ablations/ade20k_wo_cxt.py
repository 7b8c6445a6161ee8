"""Supplement's Table 1: w/o L_cxt, the contextual loss."""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(cxt=None))
