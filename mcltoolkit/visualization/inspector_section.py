"""The match inspector of a report: point at one picture, and the other shows where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mcltoolkit.structures import Prediction
from mcltoolkit.visualization._inspector_script import SCRIPT
from mcltoolkit.visualization.colours import Picture
from mcltoolkit.visualization.embedding import SHARP_BELOW, picture_source
from mcltoolkit.visualization.images import to_uint8
from mcltoolkit.visualization.match_table import LARGEST, MatchTable, match_tables
from mcltoolkit.visualization.report import Report
from mcltoolkit.visualization.sheets import shrink

BUDGET = 3 * 2**20
"""Characters that all samples may take in a page together, pictures and tables."""
MOST = 16
"""Samples to choose from."""
COARSEST = 64
"""Blocks on either side of which a table is not made smaller."""
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

    The samples share `budget`: of a match that would take more than its part, the weights are kept
    on larger blocks of places. The marked peaks stay those of the whole grid. Samples for which
    there is no room left even so are named.

    Args:
        predictions: samples to choose from in the page, the first `MOST` of them.
        budget: characters of pictures and tables together.
        largest: blocks a side of one table, see `match_table`.
    """
    if not predictions:
        return
    shown = predictions[:MOST]
    blocks: list[str] = []
    rest = budget
    for number, prediction in enumerate(shown):
        block = _block(prediction, rest // (len(shown) - number), rest, largest)
        if not block:
            break
        blocks.append(block)
        rest -= len(block)
    hint = HINT
    if len(blocks) < len(predictions):
        left = ", ".join(prediction.name for prediction in predictions[len(blocks) :])
        hint = f"{HINT if blocks else ''} To keep the page small, not to be inspected: {left}."
    inner = (
        f'<noscript><p class="note">{escape(WITHOUT_SCRIPT)}</p></noscript>'
        f'<div class="inspectors">{"".join(blocks)}</div>'
    )
    report.add_html(TITLE, inner if blocks else "", hint)
    if blocks:
        report.add_script(SCRIPT)


def _block(prediction: Prediction, share: int, most: int, largest: int) -> str:
    """A sample with the finest table that leaves it within `share` characters, or with the coarsest
    if that is within `most`; nothing otherwise."""
    name = prediction.name
    if prediction.exemplar_name:
        name += f", exemplar {prediction.exemplar_name}"
    sides = "".join(
        _side(title, name, shrink(to_uint8(image), LARGEST_SIDE))
        for title, image in (("output", prediction.fake), ("exemplar", prediction.exemplar))
    )
    for table in match_tables(prediction, largest):
        (h, w), (other_h, other_w) = table.grid, table.exemplar_grid
        block = (
            f'<div class="inspector" data-name="{escape(name)}" data-grid="{h},{w}" '
            f'data-exemplar-grid="{other_h},{other_w}" data-block="{table.block}" '
            f'data-table="{table.packed()}"><h3>{escape(name)}</h3><div class="pair">{sides}</div>'
            f'<p class="says" aria-live="polite"></p><p class="note">{escape(_notes(table))}</p>'
            f"</div>"
        )
        if len(block) <= share:
            return block
        if max(table.weights.shape) <= COARSEST:
            break
    return block if len(block) <= most else ""


def _side(title: str, name: str, picture: Picture) -> str:
    sharp = ' class="pixels"' if max(picture.shape[:2]) < SHARP_BELOW else ""
    return (
        f'<figure><div class="stage"><img{sharp} alt="{title} of {escape(name)}" '
        f'src="{picture_source(picture)}"></div><figcaption>{title}</figcaption></figure>'
    )


def _notes(table: MatchTable) -> str:
    (h, w), (other_h, other_w) = table.grid, table.exemplar_grid
    text = f"The match has {h} x {w} places in the output and {other_h} x {other_w} in the exemplar"
    if table.cells > 1:
        text += f", each standing for {table.cells} x {table.cells} cells of the network's own grid"
    if table.block > 1:
        text += f"; heat is shown on blocks of {table.block} x {table.block} places, the ring marks"
        text += " a single one"
    text += ". Rows and columns count from 0."
    if not table.finite:
        text += " The match holds weights that are infinite or not a number: they count as 0."
    return text
