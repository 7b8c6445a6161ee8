"""What the page's actions do: from what a visitor sent to what the page shows. No Gradio here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference import TranslationModel, TranslationResult, translate
from mcltoolkit.web.canvas import (
    Size,
    canvas_labels,
    canvas_value,
    fits,
    resized_labels,
    shrunk_size,
)
from mcltoolkit.web.examples import Example, paint
from mcltoolkit.web.inspection import exemplar_heat, output_heat
from mcltoolkit.web.limits import read_label_map, read_maps, read_photo, translation_size
from mcltoolkit.web.pictures import Value, picture_value, preview_uri, preview_value
from mcltoolkit.web.session import Session, check_shown, new_token
from mcltoolkit.web.views import condition_view, exemplar_view, output_view

THEIRS = "exemplar's label map"
HINT = "Click a point of the output or of the exemplar to see its match."


@dataclass(frozen=True)
class Desk:
    """A model with what can be chosen for it; shared by all visitors, and never changed.

    Args:
        model: from `load_model`.
        conditions, exemplars: examples; either may be empty.
    """

    model: TranslationModel
    conditions: Sequence[Example] = ()
    exemplars: Sequence[Example] = ()
    size: Size = field(init=False)
    painter: TranslationModel = field(init=False)
    busy: Lock = field(init=False, default_factory=Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        model = self.model
        object.__setattr__(self, "size", translation_size(model))
        # What is on the canvas are classes already; label_map is for values of label files.
        settings = {**model.settings, "label_map": None}
        painter = replace(model, config={**model.config, "inference": settings})
        object.__setattr__(self, "painter", painter)

    @property
    def draws(self) -> bool:
        """Conditions are label maps, which can be drawn."""
        return self.model.condition_kind == "labels"

    @property
    def most(self) -> int:
        """Pixels of a translation."""
        return self.size[0] * self.size[1]

    def start(self) -> tuple[Session, Value | None, Value | None, Value | None]:
        """What a visitor finds: a session, the condition, the exemplar and its label map."""
        session = Session()
        if self.conditions:
            session, condition = self.pick_condition(0, session)
        else:
            empty = np.zeros(self.size, np.uint8)
            condition = self._canvas(empty, drawn=False) if self.draws else None
        if not self.exemplars:
            return session, condition, None, self._theirs(session, None)
        session, exemplar, theirs = self.pick_exemplar(0, session)
        return session, condition, exemplar, theirs

    def pick_condition(self, index: Any, session: Session) -> tuple[Session, Value | None]:
        """An example's condition, on the canvas or, where it cannot be drawn, painted."""
        condition = _chosen(self.conditions, index).condition
        assert condition is not None
        return self._take_condition(condition, session)

    def load_condition(self, path: str, session: Session) -> tuple[Session, Value | None]:
        """An uploaded condition."""
        read = read_label_map if self.draws else read_maps
        return self._take_condition(read(path, self.model), session)

    def pick_exemplar(self, index: Any, session: Session) -> tuple[Session, Value, Value | None]:
        """An example's picture, with its own condition where that is known."""
        example = _chosen(self.exemplars, index)
        return self._take_exemplar(example.picture, example.condition, session)

    def load_exemplar(self, path: str, session: Session) -> tuple[Session, Value, Value | None]:
        """An uploaded photo, whose condition is not known."""
        return self._take_exemplar(read_photo(path), None, session)

    def load_their_condition(
        self, path: str, session: Session, exemplar: Any
    ) -> tuple[Session, Value | None]:
        """An uploaded condition of the exemplar that the page shows."""
        _check_exemplar(exemplar, session)
        if session.exemplar is None:
            raise DataError("there is no exemplar yet; choose or upload one first")
        if self.draws:
            labels = read_label_map(path, self.model)
            return session, self._theirs(session, labels)
        maps = read_maps(path, self.model, "exemplar's condition")
        session = replace(session, exemplar_maps=maps, exemplar_maps_token=new_token())
        return session, self._theirs(session, None)

    def translate(
        self, condition: Any, their_condition: Any, session: Session, exemplar: Any
    ) -> tuple[Session, list[Value], str]:
        """Translate what is on the page.

        Args:
            condition, their_condition: what the canvases, or the pictures in their place, sent;
                None where there are none.
            session: with the exemplar.
            exemplar: the exemplar's picture as the page shows it.

        Returns:
            The session with the result; output, exemplar, warped exemplar and condition as the
            page shows them; a line in words.

        Raises:
            DataError: something is missing, does not fit, or is forgotten.
        """
        _check_exemplar(exemplar, session)
        if session.exemplar is None:
            raise DataError("there is no exemplar yet; choose one, or upload a photo")
        ours, size = session.maps, None
        if self.draws:
            ours = canvas_labels(condition, self.model.channels, self.most)
            size = (ours.shape[0], ours.shape[1])
        else:
            check_shown(condition, session.maps_token, "condition", "give it again")
        if ours is None:
            raise DataError(
                f"there is no condition yet; choose one, or upload a .npy file of "
                f"{self.model.channels} x height x width numbers"
            )
        theirs = self._their_condition(their_condition, session)
        with self.busy:
            result = translate(
                ours, session.exemplar, self.painter, exemplar_condition=theirs, size=size
            )
        token = new_token()
        pictures = [
            {**output_view(result), "token": token},
            {**exemplar_view(result), "token": token},
            picture_value(result.warped_array),
            condition_view(ours, self.model),
        ]
        return replace(session, result=result, result_token=token), pictures, HINT

    def look_from(self, x: Any, y: Any, token: Any, session: Session) -> tuple[Value, Value, str]:
        """Where in the exemplar a point of the output has its colour from.

        Args:
            x, y: the point as shares of the output's width and height.
            token: of the picture that was pointed at.
            session: with the result.

        Returns:
            The output with the point marked, the exemplar with the heat, and a line in words.
        """
        result, point = _result(token, session), _point(x, y)
        heat, words = exemplar_heat(result, point)
        return _pair(output_view(result, point), exemplar_view(result, shown=heat), token, words)

    def look_by(self, x: Any, y: Any, token: Any, session: Session) -> tuple[Value, Value, str]:
        """Which places of the output look at a point of the exemplar; the reverse of `look_from`.

        Returns:
            The output with the heat, the exemplar with the point marked, and a line in words.
        """
        result, point = _result(token, session), _point(x, y)
        heat, words = output_heat(result, point)
        return _pair(output_view(result, shown=heat), exemplar_view(result, point), token, words)

    def _take_condition(
        self, condition: np.ndarray, session: Session
    ) -> tuple[Session, Value | None]:
        own = (condition.shape[-2], condition.shape[-1])
        if not self.draws:
            if not fits(own, self.most):
                raise DataError(
                    f"the condition has {own[0]} x {own[1]} numbers a channel, and maps are not "
                    f"resized; allowed are about {self.most}, such as {self.size[0]} x "
                    f"{self.size[1]}: make them in that size"
                )
            token = new_token()
            value = {**picture_value(paint(condition, self.model)), "token": token}
            return replace(session, maps=condition, maps_token=token), value
        return session, self._canvas(resized_labels(condition, shrunk_size(own, self.most)))

    def _take_exemplar(
        self, picture: np.ndarray, condition: np.ndarray | None, session: Session
    ) -> tuple[Session, Value, Value | None]:
        maps = condition if condition is not None and condition.ndim == 3 else None
        token = new_token()
        session = replace(
            session,
            exemplar=picture,
            exemplar_token=token,
            exemplar_maps=maps,
            exemplar_maps_token=None if maps is None else token,
        )
        labels = condition if condition is not None and condition.ndim == 2 else None
        value = {**preview_value(picture), "token": token}
        return session, value, self._theirs(session, labels)

    def _canvas(self, labels: np.ndarray, drawn: bool = True, photo: str | None = None) -> Value:
        return canvas_value(labels, self.model.channels, drawn, photo)

    def _theirs(self, session: Session, labels: np.ndarray | None) -> Value | None:
        """The exemplar's own condition as the page shows it, label maps over the exemplar; None
        where there is none, or the model has no use for it."""
        if not self.model.needs_exemplar_condition:
            return None
        if not self.draws:
            maps = session.exemplar_maps
            if maps is None:
                return None
            return {**picture_value(paint(maps, self.model)), "token": session.exemplar_maps_token}
        if session.exemplar is None:
            return self._canvas(np.zeros(self.size, np.uint8), drawn=False)
        own = (session.exemplar.shape[0], session.exemplar.shape[1])
        photo = preview_uri(session.exemplar)
        if labels is None:
            empty = np.zeros(shrunk_size(own, self.most), np.uint8)
            return self._canvas(empty, drawn=False, photo=photo)
        # Not squeezed into the exemplar's shape: labels of another shape belong to another photo.
        size = shrunk_size((labels.shape[0], labels.shape[1]), self.most)
        return self._canvas(resized_labels(labels, size), photo=photo)

    def _their_condition(self, canvas: Any, session: Session) -> np.ndarray | None:
        if not self.model.needs_exemplar_condition:
            return None
        try:
            if self.draws:
                return canvas_labels(canvas, self.model.channels, self.most, THEIRS)
        except DataError as error:
            raise DataError(f"this model compares the {THEIRS} too (mask_mix): {error}") from error
        what = "exemplar's condition"
        check_shown(canvas, session.exemplar_maps_token, what, "give it again")
        if session.exemplar_maps is None:
            raise DataError(
                "this model compares the exemplar's condition too (mask_mix); upload it as a .npy "
                "file, or choose an exemplar that has one"
            )
        return session.exemplar_maps


def _chosen(examples: Sequence[Example], index: Any) -> Example:
    if not isinstance(index, int) or not 0 <= index < len(examples):
        raise ConfigError(f"there is no example {index!r}; reload the page")
    return examples[index]


def _check_exemplar(shown: Any, session: Session) -> None:
    check_shown(shown, session.exemplar_token, "exemplar", "choose the exemplar again")


def _pair(output: Value, exemplar: Value, token: Any, words: str) -> tuple[Value, Value, str]:
    return {**output, "token": token}, {**exemplar, "token": token}, words


def _result(token: Any, session: Session) -> TranslationResult:
    shown = None if token is None else {"token": token}
    check_shown(shown, session.result_token, "translation", "press Translate again")
    if session.result is None:
        raise ConfigError("there is no translation to look into; press Translate first")
    return session.result


def _point(x: Any, y: Any) -> tuple[float, float]:
    if not all(isinstance(v, int | float) and 0 <= v <= 1 for v in (x, y)):
        raise ConfigError(f"the point ({x!r}, {y!r}) is outside the picture; click inside")
    return float(x), float(y)
