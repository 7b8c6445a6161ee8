"""Supplement's Table 1: w/o L_adv, the adversarial loss.

Feature matching goes too: it compares layers of the discriminator, which nothing would train. No
discriminator is built then, and its optimiser's settings are not used.
"""

_base_ = "table1_mclnet.py"

model = dict(losses=dict(adv=None, feature_matching=None))
