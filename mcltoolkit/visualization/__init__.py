"""Pictures of what the network makes: grids, matches, curves and the report of a run."""

from mcltoolkit.visualization.colours import as_palette
from mcltoolkit.visualization.curves import curve_panels, draw_curves
from mcltoolkit.visualization.images import (
    colour_labels,
    condition_picture,
    image_grid,
    paint_condition,
    prediction_grid,
    save_png,
    to_uint8,
)
from mcltoolkit.visualization.matches import draw_match, position_key, position_map
from mcltoolkit.visualization.report import Report
from mcltoolkit.visualization.run_report import translation_report
from mcltoolkit.visualization.scalars import find_scalars, read_scalars
from mcltoolkit.visualization.sheets import sample_sheet

__all__ = [
    "Report",
    "as_palette",
    "colour_labels",
    "condition_picture",
    "curve_panels",
    "draw_curves",
    "draw_match",
    "find_scalars",
    "image_grid",
    "paint_condition",
    "position_key",
    "position_map",
    "prediction_grid",
    "read_scalars",
    "sample_sheet",
    "save_png",
    "to_uint8",
    "translation_report",
]
