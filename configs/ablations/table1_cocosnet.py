"""CoCosNet on ADE20K, tested with the metrics of the supplement's Table 1."""

_base_ = "../cocosnet_ade20k.py"

# The supplement's columns, as CoCosNet's released script measures them, beside the match's own.
# ADE20K has 2000 validation images, fewer than FID has features: its passport tells so.
# Other weights: --cfg-options test_evaluator.2.weights=PATH (InceptionV3), and 3 and 4 (VGG-19).
test_evaluator = [
    dict(type="LabelTransfer", ignore_label=_base_.ignore_label),
    dict(type="MatchEntropy"),
    dict(type="FID", weights="torch-fidelity", allow_small=True),
    dict(type="StyleRelevance", weights="torchvision"),
    dict(type="SemanticConsistency", weights="torchvision"),
]
