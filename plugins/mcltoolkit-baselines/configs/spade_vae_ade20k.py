"""SPADE with the style encoder on ADE20K: the style of the truth itself is encoded in training.

The exemplar must be the truth (`self`): all terms draw the output to the truth, and with a
retrieved exemplar they would train the generator to ignore its style. Evaluation, too, is of the
truth's own style; for the list's exemplars, without a right answer, set
`test_dataloader.dataset.exemplar_choice.mode=first`. The published weight 0.05 of the KL term is
for a sum over the 4 samples of a GPU: 0.2 of their mean.
"""

_base_ = "spade_ade20k.py"

model = dict(
    generator=dict(use_vae=True, style=dict(style_channels=256, layers=6), start_grid=(8, 8)),
    losses=dict(kl=dict(type="StyleKLLoss", weight=0.2)),
)
