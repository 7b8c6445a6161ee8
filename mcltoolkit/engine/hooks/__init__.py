"""Hooks of training and testing, one a file."""

from mcltoolkit.engine.hooks.audit import LossAuditHook
from mcltoolkit.engine.hooks.checkpoint import CheckpointHook
from mcltoolkit.engine.hooks.collapse import CollapseAlarmHook
from mcltoolkit.engine.hooks.ema import EMAHook
from mcltoolkit.engine.hooks.non_finite import NonFiniteHook
from mcltoolkit.engine.hooks.pictures import CurvesHook, GridHook
from mcltoolkit.engine.hooks.progress import ProgressBarHook, ProgressHook
from mcltoolkit.engine.hooks.recompute import RecomputeHook
from mcltoolkit.engine.hooks.report import ReportHook
from mcltoolkit.engine.hooks.skipped import SkippedSamplesHook

__all__ = [
    "CollapseAlarmHook",
    "CurvesHook",
    "EMAHook",
    "GridHook",
    "LossAuditHook",
    "CheckpointHook",
    "NonFiniteHook",
    "ProgressBarHook",
    "ProgressHook",
    "RecomputeHook",
    "ReportHook",
    "SkippedSamplesHook",
]
