"""Training, testing and distribution on mmengine's Runner."""

from mcltoolkit.engine.distributed import SeparateDDP
from mcltoolkit.engine.hooks import (
    CheckpointHook,
    CollapseAlarmHook,
    EMAHook,
    GridHook,
    LossAuditHook,
    NonFiniteHook,
    ProgressBarHook,
    ProgressHook,
    RecomputeHook,
    ReportHook,
    SkippedSamplesHook,
)
from mcltoolkit.engine.loops import TranslationTrainLoop
from mcltoolkit.engine.optim import (
    AutocastOptimWrapper,
    ConstantThenLinearLR,
    GANOptimWrapperConstructor,
)
from mcltoolkit.engine.runner import TranslationRunner
from mcltoolkit.engine.sharding import SeparateFSDP

__all__ = [
    "AutocastOptimWrapper",
    "CheckpointHook",
    "CollapseAlarmHook",
    "ConstantThenLinearLR",
    "EMAHook",
    "GANOptimWrapperConstructor",
    "GridHook",
    "LossAuditHook",
    "NonFiniteHook",
    "ProgressBarHook",
    "ProgressHook",
    "RecomputeHook",
    "ReportHook",
    "SeparateDDP",
    "SeparateFSDP",
    "SkippedSamplesHook",
    "TranslationRunner",
    "TranslationTrainLoop",
]
