"""The data-set doctor: what is wrong with a folder of images and label maps, and what to do."""

from mcltoolkit.data.doctor.check_labels import common_colours
from mcltoolkit.data.doctor.examine import examine
from mcltoolkit.data.doctor.findings import ClassShare, Diagnosis, Finding
from mcltoolkit.data.doctor.options import add_options, check_options
from mcltoolkit.data.doctor.plan import Plan, SplitPlan, plan_of_folder
from mcltoolkit.data.doctor.plan_config import plan_of_config
from mcltoolkit.data.doctor.ready_config import PRESETS, Preset, ready_config
from mcltoolkit.data.doctor.report import show
from mcltoolkit.data.doctor.sizes import parse_size
from mcltoolkit.data.doctor.survey import Survey, survey

__all__ = [
    "PRESETS",
    "ClassShare",
    "Diagnosis",
    "Finding",
    "Plan",
    "Preset",
    "SplitPlan",
    "Survey",
    "add_options",
    "check_options",
    "common_colours",
    "examine",
    "parse_size",
    "plan_of_config",
    "plan_of_folder",
    "ready_config",
    "show",
    "survey",
]
