"""Supplement's Table 1: w/o L_fcst, the feature consistency loss."""

_base_ = "../mclnet_ade20k.py"

model = dict(losses=dict(fcst=None))
