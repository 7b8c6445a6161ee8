"""ADE20K, 151 label values, 256 x 256; lists of exemplars as CoCosNet releases them."""

num_classes = 151
ignore_label = 0
data_root = "data/ade20k"
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="SeededSampler", shuffle=True),
    dataset=dict(
        type="ADE20K",
        data_root=data_root,
        split="training",
        exemplar_list="ade20k_ref.txt",
        exemplar_choice=dict(mode="recipe", retrieved=0.7, hard=0.2),
        geometry=[
            dict(type="PILResize", height=286, width=286),
            dict(type="RandomCrop", height=256, width=256),
            dict(type="HorizontalFlip", p=0.5),
        ],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    sampler=dict(type="SeededSampler", shuffle=False),
    dataset=dict(
        type="ADE20K",
        data_root=data_root,
        split="validation",
        exemplar_list="ade20k_ref_test.txt",
        exemplar_choice=dict(mode="first"),
        geometry=[dict(type="PILResize", height=256, width=256)],
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="LabelTransfer", ignore_label=ignore_label), dict(type="MatchEntropy")]
test_evaluator = val_evaluator
