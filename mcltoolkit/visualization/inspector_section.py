"""The match inspector of a report: point at one picture, and the other shows where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mcltoolkit.structures import Prediction
from mcltoolkit.visualization._inspector_script import SCRIPT
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.embedding import SHARP_BELOW, picture_source
from mcltoolkit.visualization.images import to_uint8
from mcltoolkit.visualization.match_table import LARGEST, MatchTable, match_table
from mcltoolkit.visualization.report import Report
from mcltoolkit.visualization.sheets import shrink

BUDGET = 3 * 2**20
"""Characters that the tables of all samples may take in a page together."""
LARGEST_SIDE = 384
TITLE = "Match inspector"
HINT = (
    "Point at a place of the output (with the mouse, a finger, or Tab and the arrow keys): the "
    "exemplar shows where its colour came from, the brighter the more, and the ring marks the "
    "largest weight. Point at the exemplar to see which places of the output look there."
)
WITHOUT_SCRIPT = "The inspector needs JavaScript, which this browser has switched off."


def add_inspector(
    report: Report, predictions: Sequence[Prediction], budget: int = BUDGET, largest: int = LARGEST
) -> None:
    """Add the inspector of some samples to a report; without samples, nothing.

    The tables of weights share `budget`: of a match that would take more than its part, the
    weights are kept on larger blocks of places. The marked peaks stay those of the whole grid.

    Args:
        predictions: samples to choose from in the page.
        budget: characters of all tables together.
        largest: blocks a side of one table, see `match_table`.
    """
    if not predictions:
        return
    share = budget // len(predictions)
    blocks = "".join(_block(prediction, share, largest) for prediction in predictions)
    inner = (
        f'<noscript><p class="note">{escape(WITHOUT_SCRIPT)}</p></noscript>'
        f'<div class="inspectors">{blocks}</div>'
    )
    report.add_html(TITLE, inner, HINT)
    report.add_script(SCRIPT)


def _block(prediction: Prediction, share: int, largest: int) -> str:
    table, text = _fitting(prediction, share, largest)
    name = prediction.name
    if prediction.exemplar_name:
        name += f", exemplar {prediction.exemplar_name}"
    sides = "".join(
        _side(title, name, shrink(to_uint8(image), LARGEST_SIDE))
        for title, image in (("output", prediction.fake), ("exemplar", prediction.exemplar))
    )
    (h, w), (other_h, other_w) = table.grid, table.exemplar_grid
    note = _resolution(table)
    return (
        f'<div class="inspector" data-name="{escape(name)}" data-grid="{h},{w}" '
        f'data-exemplar-grid="{other_h},{other_w}" data-block="{table.block}" '
        f'data-table="{text}"><h3>{escape(name)}</h3><div class="pair">{sides}</div>'
        f'<p class="says" aria-live="polite"></p><p class="note">{escape(note)}</p></div>'
    )


def _side(title: str, name: str, picture: Picture) -> str:
    sharp = ' class="pixels"' if max(picture.shape[:2]) < SHARP_BELOW else ""
    return (
        f'<figure><div class="stage"><img{sharp} alt="{title} of {escape(name)}" '
        f'src="{picture_source(picture)}"></div><figcaption>{title}</figcaption></figure>'
    )


def _fitting(prediction: Prediction, share: int, largest: int) -> tuple[MatchTable, str]:
    """The finest table whose text fits into `share`, or the coarsest tried."""
    while True:
        table = match_table(prediction, largest)
        text = table.packed()
        if len(text) <= share or largest <= 64:
            return table, text
        largest //= 2


def _resolution(table: MatchTable) -> str:
    (h, w), (other_h, other_w) = table.grid, table.exemplar_grid
    text = f"The match has {h} x {w} places in the output and {other_h} x {other_w} in the exemplar"
    if table.cells > 1:
        text += f", each standing for {table.cells} x {table.cells} cells of the network's own grid"
    if table.block > 1:
        text += f"; heat is shown on blocks of {table.block} x {table.block} places, the ring marks"
        text += " a single one"
    return text + ". Rows and columns count from 0."
