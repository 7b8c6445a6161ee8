"""DeepFashion poses, 20 channels, 256 x 256, no flips; lists and split files as CoCosNet releases
them.

The exemplar of a training is never a retrieved one: it is another view of the same person in the
same clothes where the pair list has one, else the picture itself.
"""

_base_ = "data_256.py"

condition_channels = 20
data_root = "data/DeepFashion"
train_dataloader = dict(
    dataset=dict(
        type="DeepFashion",
        data_root=data_root,
        pair_list="deepfashion_self_pair.txt",
        exemplar_choice=dict(mode="recipe", retrieved=0.0),
        geometry=[
            dict(type="PILResize", height=286, width=286),
            dict(type="RandomCrop", height=256, width=256),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(type="DeepFashion", data_root=data_root, exemplar_list="deepfashion_ref_test.txt")
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="MatchEntropy"), dict(type="CycleError")]
test_evaluator = val_evaluator
