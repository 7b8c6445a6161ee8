"""Synthetic scenes, 64 x 64: embedded, endless, with the true answer."""

num_classes = 6
scenes = dict(type="SyntheticScenes", num_classes=num_classes, size=(64, 64))
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type="SeededSampler", shuffle=True),
    dataset=dict(split="train", length=8000, **scenes),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type="SeededSampler", shuffle=False),
    dataset=dict(split="val", length=64, **scenes),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type="SeededSampler", shuffle=False),
    dataset=dict(split="test", length=128, **scenes),
)
val_evaluator = [dict(type="ImageQuality"), dict(type="LabelTransfer")]
test_evaluator = [*val_evaluator, dict(type="MatchEntropy"), dict(type="CycleError")]
