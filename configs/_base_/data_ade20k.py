"""ADE20K, 151 label values, 256 x 256; lists of exemplars as CoCosNet releases them."""

_base_ = "data_256.py"

num_classes = 151
ignore_label = 0
data_root = "data/ade20k"
train_dataloader = dict(
    dataset=dict(type="ADE20K", data_root=data_root, exemplar_list="ade20k_ref.txt")
)
val_dataloader = dict(
    dataset=dict(type="ADE20K", data_root=data_root, exemplar_list="ade20k_ref_test.txt")
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="LabelTransfer", ignore_label=ignore_label), dict(type="MatchEntropy")]
test_evaluator = val_evaluator
