"""CelebA-HQ edges, 15 channels, 256 x 256; lists and split files as CoCosNet releases them."""

_base_ = "data_256.py"

condition_channels = 15
data_root = "data/CelebAMask-HQ"
train_dataloader = dict(
    dataset=dict(type="CelebAHQEdges", data_root=data_root, exemplar_list="celebahq_ref.txt")
)
val_dataloader = dict(
    dataset=dict(type="CelebAHQEdges", data_root=data_root, exemplar_list="celebahq_ref_test.txt")
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="MatchEntropy"), dict(type="CycleError")]
test_evaluator = val_evaluator
