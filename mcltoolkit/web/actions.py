"""The page's parts wired to the desk: what happens when something is clicked or uploaded."""

from __future__ import annotations

import functools
import html
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from mcltoolkit.errors import ToolkitError
from mcltoolkit.web.desk import Desk
from mcltoolkit.web.session import Session

if TYPE_CHECKING:
    from mcltoolkit.web.page import Parts

SECONDS = 12  # that a message stays
LOOKING = 2  # visitors whose clicks on pictures are answered at a time
SHOW_RESULT = """() => document.querySelector("#results").scrollIntoView({behavior: "smooth"})"""


def explained(action: Callable[..., Any]) -> Callable[..., Any]:
    """The action, with a `ToolkitError` shown as a message on the page, and any other error as one
    that leaves its traceback to the server's terminal."""

    @functools.wraps(action)
    def wrapper(*values: Any) -> Any:
        try:
            return action(*values)
        except ToolkitError as error:
            raise _message(str(error)) from error
        except Exception as error:
            logging.getLogger(__name__).exception("an action of the page failed")
            words = "This failed unexpectedly; the terminal of the page's server says how."
            raise _message(words) from error

    return wrapper


def _message(text: str) -> gr.Error:
    shown = html.escape(text[:1].upper() + text[1:], quote=False)
    return gr.Error(shown, duration=SECONDS, print_exception=False)


def wire(desk: Desk, parts: Parts) -> None:
    """Connect every part of the page; call it inside the page's context."""
    state = parts.state
    # A drawn label map is no part of the session; written back, it would undo what came meanwhile.
    maps = None if desk.draws else state

    def arrive() -> dict[Any, Any]:
        session, value, exemplar, theirs = desk.start()
        shown = {state: session, parts.exemplar: exemplar, parts.theirs: theirs}
        if not desk.draws:
            shown.update({parts.condition: value, parts.conditions: 0})
        return _known({**shown, parts.exemplars: 0})

    def pick_condition(event: gr.EventData, session: Session) -> dict[Any, Any]:
        session, value = desk.pick_condition(event.index, session)
        return _known({maps: session, parts.condition: value})

    def load_condition(path: str, session: Session) -> dict[Any, Any]:
        session, value = desk.load_condition(path, session)
        return _known({maps: session, parts.condition: value, parts.conditions: None})

    def pick_exemplar(event: gr.EventData, session: Session) -> dict[Any, Any]:
        session, value, theirs = desk.pick_exemplar(event.index, session)
        return _exemplar(parts, session, value, theirs)

    def load_exemplar(path: str, session: Session) -> dict[Any, Any]:
        session, value, theirs = desk.load_exemplar(path, session)
        return {**_exemplar(parts, session, value, theirs), **_known({parts.exemplars: None})}

    def load_theirs(path: str, session: Session, exemplar: Any) -> dict[Any, Any]:
        session, value = desk.load_their_condition(path, session, exemplar)
        return {state: session, parts.theirs: value}

    def translate(
        session: Session, exemplar: Any, condition: Any, theirs: Any = None
    ) -> dict[Any, Any]:
        made, values, line = desk.translate(condition, theirs, session, exemplar)
        output, source, warped, used = values
        shown = {parts.made: made, parts.warped: warped, parts.used: used}
        return {**shown, **_result(parts, output, source, line)}

    def look_from(event: gr.EventData, session: Session) -> dict[Any, Any]:
        return _result(parts, *desk.look_from(event.x, event.y, event.token, session))

    def look_by(event: gr.EventData, session: Session) -> dict[Any, Any]:
        return _result(parts, *desk.look_by(event.x, event.y, event.token, session))

    condition = _list(maps, parts.condition, parts.conditions)
    exemplar = _list(state, parts.exemplar, parts.theirs, parts.fold, parts.exemplars)
    pictures = [parts.output, parts.source, parts.line]
    first = _list(state, parts.exemplar, parts.theirs, parts.exemplars)
    if not desk.draws:
        first += _list(parts.condition, parts.conditions)
    _on(parts.page.load, arrive, [], first, show_progress="hidden")
    if parts.conditions is not None:
        _on(parts.conditions.pick, pick_condition, [state], condition)
    if parts.exemplars is not None:
        _on(parts.exemplars.pick, pick_exemplar, [state], exemplar)
    if parts.load_theirs is not None:
        own = parts.load_theirs
        _on(own.upload, load_theirs, [own, state, parts.exemplar], [state, parts.theirs])
    _on(parts.load_condition.upload, load_condition, [parts.load_condition, state], condition)
    _on(parts.load_exemplar.upload, load_exemplar, [parts.load_exemplar, state], exemplar)
    inputs = _list(state, parts.exemplar, parts.condition, parts.theirs)
    done = _on(
        parts.translate.click, translate, inputs, [parts.made, *pictures, parts.warped, parts.used]
    )
    done.success(None, None, None, js=SHOW_RESULT, api_visibility="private")
    for part, look in ((parts.output, look_from), (parts.source, look_by)):
        _on(
            part.pick, look, [parts.made], pictures,
            trigger_mode="always_last", show_progress="hidden",
            concurrency_limit=LOOKING, concurrency_id="look",
        )  # fmt: skip


def _on(event: Any, action: Any, inputs: list[Any], outputs: list[Any], **options: Any) -> Any:
    return event(explained(action), inputs, outputs, api_visibility="private", **options)


def _result(parts: Parts, output: Any, source: Any, line: str) -> dict[Any, Any]:
    return {parts.output: output, parts.source: source, parts.line: f"<p>{html.escape(line)}</p>"}


def _exemplar(parts: Parts, session: Session, value: Any, theirs: Any) -> dict[Any, Any]:
    """The new exemplar; its own condition is unfolded where it has to be given."""
    known = theirs is not None and theirs.get("drawn", True)
    shown = {parts.state: session, parts.exemplar: value, parts.theirs: theirs}
    return _known({**shown, parts.fold: gr.Accordion(open=not known)})


def _known(values: dict[Any, Any]) -> dict[Any, Any]:
    """What belongs to parts that the page has."""
    return {part: value for part, value in values.items() if part is not None}


def _list(*parts: Any) -> list[Any]:
    return [part for part in parts if part is not None]
