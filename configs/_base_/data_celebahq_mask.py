"""CelebA-HQ part masks, 19 channels, 256 x 256; lists and split files as CoCosNet releases them."""

_base_ = "data_256.py"

num_classes = 19
ignore_label = 0
data_root = "data/CelebAMask-HQ"
train_dataloader = dict(
    dataset=dict(type="CelebAHQMasks", data_root=data_root, exemplar_list="celebahq_ref.txt")
)
val_dataloader = dict(
    dataset=dict(type="CelebAHQMasks", data_root=data_root, exemplar_list="celebahq_ref_test.txt")
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="LabelTransfer", ignore_label=ignore_label), dict(type="MatchEntropy")]
test_evaluator = val_evaluator
