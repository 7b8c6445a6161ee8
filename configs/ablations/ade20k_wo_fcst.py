"""Supplement's Table 1: w/o L_fcst, the feature consistency loss."""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(fcst=None))
