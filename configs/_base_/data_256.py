"""Loaders of the full recipes: 286 x 286, cropped to 256 x 256; 8 samples a process, 32 on 4 GPUs.

The exemplar is cropped and flipped by a draw of its own. A data set's piece adds its type, root,
exemplar lists and evaluators.
"""

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type="SeededSampler", shuffle=True),
    dataset=dict(
        split="training",
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
        split="validation",
        exemplar_choice=dict(mode="first"),
        geometry=[dict(type="PILResize", height=256, width=256)],
    ),
)
test_dataloader = val_dataloader
