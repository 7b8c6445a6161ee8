"""The page's own parts: a canvas for label maps, a picture to point at, pictures to choose from.

Gradio's ImageEditor was tried first (6.31): a canvas of one colour came back in four, since it is
sent as a lossy picture; its palette is a pop-up of colours without the classes' names; and on a
phone its tools lie over the drawing. Its Image and Gallery keep a file for each picture shown.
These parts are small scripts inside Gradio's HTML component instead: class numbers, not colours;
pixels enlarged as they are; data in place of files; and controls for fingers.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import gradio as gr

from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.web.examples import Example
from mcltoolkit.web.pictures import THUMB, Value, preview_uri


def asset(name: str) -> str:
    """The text of a file in `assets`."""
    return resources.files("mcltoolkit.web").joinpath(f"assets/{name}").read_text(encoding="utf-8")


def label_canvas(model: TranslationModel, value: Value | None, elem_id: str) -> Any:
    """A canvas with the model's classes; its value is that of `canvas_value`."""
    assert model.palette is not None
    assert model.classes is not None
    return _part(
        "canvas",
        value,
        elem_id,
        colours=[list(colour) for colour in model.palette],
        names=list(model.classes),
    )


def picture(value: Value | None, heading: str, empty: str, pointed: bool, elem_id: str) -> Any:
    """A picture; its value is that of `picture_value`.

    Args:
        value: None shows `empty`.
        heading: above it; may be empty.
        empty: what is said where there is no picture.
        pointed: a click raises the event `pick` with the point's shares `x` and `y`.
        elem_id: of the part.
    """
    return _part("picture", value, elem_id, heading=heading, empty=empty, pointed=pointed)


def picker(examples: Sequence[Example], value: int | None, heading: str, elem_id: str) -> Any:
    """Examples to choose from; a choice raises the event `pick` with its number `index`."""
    items = [{"src": preview_uri(e.picture, THUMB), "name": e.name} for e in examples]
    return _part("picker", value, elem_id, heading=heading, items=items)


def _part(kind: str, value: Any, elem_id: str, **properties: Any) -> Any:
    return gr.HTML(
        value,
        html_template="",
        css_template=asset(f"{kind}.css"),
        js_on_load=asset(f"{kind}.js"),
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=f"part-{kind}",
        **properties,
    )
