"""Supplement's Table 1: w/o L_mcl, the marginal contrastive loss.

The self-correlation map stays; the other losses alone train it then.
"""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(mcl=None))
