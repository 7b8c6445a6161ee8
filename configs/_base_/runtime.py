"""Logging, checkpoints, pictures, seeds: the same for every experiment."""

default_scope = "mcltoolkit"
plugins = []  # importable modules that register components and have no entry point
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),  # timeout=SECONDS: how long ranks wait for each other
)
randomness = dict(seed=0)  # deterministic=True: the same bits each time, slower
detect_anomaly = False  # torch traces NaN gradients to their operation, much slower
work_dir = None
load_from = None
resume = False
launcher = "none"
model_wrapper_cfg = dict()  # of several ranks: DDP; dict(type="SeparateFSDP") shards the model
memory_format = "contiguous"  # or "channels_last", where that is faster, see docs/training.md
winograd = True  # wide float32 convolutions on CPUs take fewer multiplications; rounding differs
compile = None  # dict(parts=[...], ...) has torch.compile compile parts of the model
activation_checkpointing = None  # modules to compute twice: ["blocks"], or names, see docs

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="CheckpointHook", interval=5000, by_epoch=False, max_keep_ckpts=3, save_last=True
    ),
    sampler_seed=None,  # TranslationTrainLoop sets the sampler's epoch
)
custom_hooks = [
    dict(type="ProgressHook"),
    dict(type="LossAuditHook"),
    dict(type="GridHook"),
    dict(type="CurvesHook"),
    dict(type="SkippedSamplesHook"),
    dict(type="NonFiniteHook", policy="stop"),  # or "skip" the step
    dict(type="CollapseAlarmHook", interval=50, begin=1000, patience=10),
]
log_processor = dict(type="LogProcessor", by_epoch=False, window_size=50)
log_level = "INFO"
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(type="Visualizer", vis_backends=vis_backends)  # one a run: no fixed name

val_cfg = dict()
test_cfg = dict()
