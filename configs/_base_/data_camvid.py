"""A plain folder of street scenes (CamVid, 12 classes, the last one void), 64 x 96.

data_root/images/{split}/NAME.jpg, annotations/{split}/NAME.png, classes.txt,
exemplars_{split}.txt
"""

num_classes = 12
ignore_label = 11
data_root = "data/camvid_128"
palette = [
    (128, 180, 220), (128, 70, 60), (192, 192, 128), (120, 70, 130), (220, 60, 220),
    (90, 130, 50), (190, 130, 120), (90, 70, 130), (60, 40, 140), (220, 60, 60),
    (40, 130, 190), (30, 30, 30),
]  # fmt: skip
folder = dict(
    type="FolderDataset",
    data_root=data_root,
    exemplar_list="exemplars_{split}.txt",
    ignore_label=ignore_label,
    palette=palette,
)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="SeededSampler", shuffle=True),
    dataset=dict(
        split="training",
        exemplar_choice=dict(mode="recipe", retrieved=0.5, hard=0.2),
        geometry=[
            dict(type="PILResize", height=72, width=108),
            dict(type="RandomCrop", height=64, width=96),
            dict(type="HorizontalFlip", p=0.5),
        ],
        **folder,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="SeededSampler", shuffle=False),
    dataset=dict(
        split="validation",
        exemplar_choice=dict(mode="first"),
        geometry=[dict(type="PILResize", height=64, width=96)],
        max_samples=24,
        **folder,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="SeededSampler", shuffle=False),
    dataset=dict(
        split="test",
        exemplar_choice=dict(mode="first"),
        geometry=[dict(type="PILResize", height=64, width=96)],
        **folder,
    ),
)
val_evaluator = [
    dict(type="ImageQuality"),
    dict(type="LabelTransfer", ignore_label=ignore_label),
    dict(type="MatchEntropy"),
]
test_evaluator = val_evaluator
