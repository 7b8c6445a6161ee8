"""Supplement's Table 1: w/o L_pse, the pseudo-pair loss."""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(pse=None))
