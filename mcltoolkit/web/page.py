"""The demo page as it is seen: label map, exemplar, Translate, result."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from mcltoolkit.web import components
from mcltoolkit.web.actions import wire
from mcltoolkit.web.desk import Desk
from mcltoolkit.web.limits import ARRAYS, ENDINGS, FORMATS, MOST_BYTES, MOST_PIXELS, megabytes
from mcltoolkit.web.session import Session

TITLE = "Exemplar-guided image translation"
LEAD = (
    "A {what} says what is where, an exemplar how it should look. The model matches the two and "
    "paints the {what} in the exemplar's colours and textures."
)
FOOT = (
    "Everything runs on the machine that serves this page. It deletes uploaded files after 60 to "
    "70 minutes, and forgets your pictures an hour after your last action."
)
STATE_SECONDS = 3600  # see `memory`
CACHE_SECONDS = (600, 3600)  # seconds between two looks at the files, and their age
BYTES = megabytes(MOST_BYTES)
PICTURE_FILES = f"{', '.join(FORMATS)}; at most {BYTES} and {MOST_PIXELS // 10**6} million pixels"
ARRAY_FILES = f"NumPy .npy; at most {BYTES}"


@dataclass
class Parts:
    """The parts of the page that actions read or change; None where the model has no use for one.

    Attributes:
        page: the whole.
        state: the visitor's `Session`; empty until the page is loaded, so that a page whose state
            is forgotten has nothing chosen.
        made: the `Session` that was translated last, with its result.
        condition, theirs: the condition's and the exemplar's own; canvases, or pictures where
            conditions cannot be drawn.
        exemplar: preview of what is chosen.
        conditions, exemplars: examples to choose from.
        load_condition, load_exemplar, load_theirs: buttons for uploads.
        fold: what `theirs` is folded away in where it is known.
        translate: the button.
        output, source, warped, used: pictures of the result; `source` is the exemplar, `used` the
            condition.
        line: what the match says in words.
    """

    page: Any
    state: Any
    made: Any
    condition: Any = None
    load_condition: Any = None
    exemplar: Any = None
    load_exemplar: Any = None
    translate: Any = None
    output: Any = None
    source: Any = None
    warped: Any = None
    used: Any = None
    line: Any = None
    conditions: Any = None
    exemplars: Any = None
    theirs: Any = None
    load_theirs: Any = None
    fold: Any = None


def build_page(desk: Desk) -> gr.Blocks:
    """The page; see `serve` for who can open it."""
    _, condition, exemplar, theirs = desk.start()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
        state, made = (gr.State(Session()) for _ in range(2))
        parts = Parts(page, state, made)
        lead = LEAD.format(what="label map" if desk.draws else "condition")
        _text(f"<h1>{TITLE}</h1><p class='lead'>{lead}</p><p class='facts'>{_facts(desk)}</p>")
        with gr.Row(equal_height=False, elem_classes="inputs"):
            with gr.Column(elem_classes="card", min_width=300):
                _condition_card(desk, parts, condition)
            with gr.Column(elem_classes="card", min_width=300):
                _exemplar_card(desk, parts, exemplar, theirs)
        parts.translate = gr.Button("Translate", variant="primary", size="lg", elem_id="translate")
        with gr.Column(elem_classes="card", elem_id="results"):
            _result_card(desk, parts)
        _text(f"<p class='small foot'>{FOOT}</p>")
        wire(desk, parts)
    return page


def _condition_card(desk: Desk, parts: Parts, value: Any) -> None:
    if desk.draws:
        _step(1, "Label map", "Choose a class and paint with it; the shapes decide what is where.")
        parts.condition = components.label_canvas(desk.model, value, "condition")
    else:
        _step(
            1,
            "Condition",
            f"This model takes {desk.model.channels} channels of numbers (edges, distances, poses),"
            f" which cannot be drawn: upload them as a .npy file of {desk.model.channels} x height"
            f" x width" + (", or choose an example." if desk.conditions else "."),
        )
        parts.condition = components.picture(value, "", "No condition yet", False, "condition")
    if desk.conditions:
        _text("<p class='above'>Start from an example</p>")
        parts.conditions = components.picker(desk.conditions, 0, "Examples", "conditions")
    what = "label map" if desk.draws else "condition"
    parts.load_condition = _upload(desk, f"Upload a {what}", "load-condition")


def _exemplar_card(desk: Desk, parts: Parts, value: Any, theirs: Any) -> None:
    _step(2, "Exemplar", "The picture whose colours and textures are wanted.")
    # Shown when it is remembered, which is when the page is loaded.
    parts.exemplar = components.picture(None, "", "No exemplar yet", False, "exemplar")
    if desk.exemplars:
        _text("<p class='above'>Choose one</p>")
        parts.exemplars = components.picker(desk.exemplars, 0, "Exemplars", "exemplars")
    parts.load_exemplar = _upload(desk, "Upload a photo", "load-exemplar", photo=True)
    if not desk.model.needs_exemplar_condition:
        return
    what = "label map" if desk.draws else "condition"
    missing = value is not None and not (theirs and theirs.get("drawn", True))
    parts.fold = gr.Accordion(f"The exemplar's {what}", open=missing, elem_classes="known")
    with parts.fold:
        _text(
            f"<p>This model compares the {what}s of both pictures. Choose an exemplar that has one,"
            f" {'paint it over the photo, ' if desk.draws else ''}or upload it.</p>"
        )
        if desk.draws:
            parts.theirs = components.label_canvas(desk.model, theirs, "theirs")
        else:
            parts.theirs = components.picture(theirs, "", "No condition yet", False, "theirs")
        parts.load_theirs = _upload(desk, f"Upload its {what}", "load-theirs")


def _result_card(desk: Desk, parts: Parts) -> None:
    _step(3, "Result", "")
    parts.line = gr.HTML("<p>The output will stand here.</p>", elem_id="line", elem_classes="text")
    with gr.Row(equal_height=False, elem_classes="pictures"):
        empty = "Press Translate"
        parts.output = components.picture(None, "Output", empty, True, "output")
        parts.source = components.picture(None, "Exemplar", empty, True, "source")
        parts.warped = components.picture(None, "Exemplar, warped", empty, False, "warped")
        what = "Label map" if desk.draws else "Condition"
        parts.used = components.picture(None, what, empty, False, "used")


def _upload(desk: Desk, label: str, elem_id: str, photo: bool = False) -> Any:
    pictures = photo or desk.draws
    button = gr.UploadButton(
        label,
        file_types=list(ENDINGS if pictures else ARRAYS),
        file_count="single",
        elem_id=elem_id,
        size="sm",
    )
    _text(f"<p class='small'>{PICTURE_FILES if pictures else ARRAY_FILES}</p>")
    return button


def _step(number: int, title: str, words: str) -> None:
    _text(f"<h2><i>{number}</i>{title}</h2>" + (f"<p>{words}</p>" if words else ""))


def _text(content: str) -> None:
    gr.HTML(content, apply_default_css=False, elem_classes="text")


def _facts(desk: Desk) -> str:
    model, (height, width) = desk.model, desk.size
    kind = f"{model.channels} classes" if desk.draws else f"{model.channels} channels"
    name = html.escape(Path(model.checkpoint).name)
    return f"{name} · {kind} · {height} x {width} pixels · {model.device.type.upper()}"
