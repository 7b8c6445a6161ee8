import base64
import io
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.inference import translate
from mcltoolkit.web.canvas import canvas_labels, canvas_value
from mcltoolkit.web.desk import Desk
from mcltoolkit.web.examples import Example, scene_examples
from mcltoolkit.web.session import Session

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(256, size=(40, 60, 3), dtype=np.uint8)


def decoded(uri):
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


@pytest.fixture
def desk(plain_model):
    return Desk(plain_model, *scene_examples(plain_model, (32, 32), 3))


@pytest.fixture
def files(tmp_path):
    def write(name, array):
        if name.endswith(".npy"):
            np.save(tmp_path / name, array)
        else:
            Image.fromarray(array).save(tmp_path / name)
        return str(tmp_path / name)

    return write


def test_a_visitor_starts_with_the_first_examples(desk):
    session, condition, exemplar, theirs = desk.start()
    np.testing.assert_array_equal(canvas_labels(condition, 6, 1024), desk.conditions[0].condition)
    np.testing.assert_array_equal(decoded(exemplar["src"]), desk.exemplars[0].picture)
    assert theirs is None, "this model has no use for it"
    session, pictures, _ = desk.translate(condition, theirs, session, exemplar)
    wanted = translate(desk.conditions[0].condition, desk.exemplars[0].picture, desk.model)
    shown = [
        wanted.array,
        desk.exemplars[0].picture,
        wanted.warped_array,
        desk.conditions[0].picture,
    ]
    for value, picture in zip(pictures, shown, strict=True):
        np.testing.assert_array_equal(decoded(value["src"]), picture)
    np.testing.assert_array_equal(decoded(pictures[0]["files"][0]["src"]), wanted.array)
    file = decoded(pictures[3]["files"][0]["src"])
    np.testing.assert_array_equal(file, desk.conditions[0].condition)


def test_without_examples_everything_is_empty_and_said(plain_model):
    desk = Desk(plain_model)
    session, condition, exemplar, theirs = desk.start()
    assert (exemplar, theirs) == (None, None)
    assert (condition["height"], condition["width"], condition["drawn"]) == (32, 32, False)
    with pytest.raises(DataError, match="no exemplar yet"):
        desk.translate(condition, None, session, exemplar)
    session = replace(session, exemplar=PHOTO)
    with pytest.raises(DataError, match="label map is still empty"):
        desk.translate(condition, None, session, exemplar)
    with pytest.raises(ConfigError, match="press Translate first"):
        desk.look_from(0.5, 0.5, None, session)


def test_uploads_keep_their_size_unless_they_are_too_large(desk, files):
    labels = RNG.integers(6, size=(21, 30)).astype(np.uint8)
    session, value = desk.load_condition(files("small.png", labels), Session())
    np.testing.assert_array_equal(canvas_labels(value, 6, desk.most), labels)
    session, exemplar, _ = desk.load_exemplar(files("photo.png", PHOTO), session)
    session, pictures, _ = desk.translate(value, None, session, exemplar)
    assert (pictures[0]["height"], pictures[0]["width"]) == (21, 30)
    wanted = translate(labels, PHOTO, desk.model, size=(21, 30))
    np.testing.assert_array_equal(decoded(pictures[0]["src"]), wanted.array)

    large = labels.repeat(10, 0).repeat(10, 1)
    _, value = desk.load_condition(files("large.png", large), session)
    size = (value["height"], value["width"])
    assert size[0] * size[1] <= 1.1 * 1024
    assert size[0] / size[1] == pytest.approx(21 / 30, abs=0.02)
    rows, columns = (
        ((np.arange(n) + 0.5) / n * s).astype(int) for n, s in zip(size, large.shape, strict=True)
    )
    shrunk = large[np.ix_(rows, columns)]
    assert (canvas_labels(value, 6, desk.most) == shrunk).mean() > 0.95


def test_canvas_labels_are_classes_whatever_label_files_hold(plain_model):
    """label_map is for values of files: on the canvas, 1 is the class 1."""
    settings = {**plain_model.settings, "label_map": {1: 0, 255: 2}}
    mapped = replace(plain_model, config={**plain_model.config, "inference": settings})
    labels = np.arange(6).repeat(32 * 32 // 6 + 1)[: 32 * 32].reshape(32, 32)
    session = Session(exemplar=PHOTO)
    _, pictures, _ = Desk(mapped).translate(canvas_value(labels, 6), None, session, None)
    wanted = translate(labels, PHOTO, plain_model)
    np.testing.assert_array_equal(decoded(pictures[0]["src"]), wanted.array)


def test_the_exemplars_label_map_is_asked_for_where_it_is_compared(model, files):
    desk = Desk(model, *scene_examples(model, (32, 32), 2))
    session, condition, exemplar, theirs = desk.start()
    np.testing.assert_array_equal(canvas_labels(theirs, 6, 1024), desk.exemplars[0].condition)
    assert decoded(theirs["photo"]).shape == (32, 32, 3)
    session, exemplar, theirs = desk.load_exemplar(files("photo.png", PHOTO), session)
    assert not theirs["drawn"]
    with pytest.raises(DataError, match=r"exemplar's label map too \(mask_mix\).*still empty"):
        desk.translate(condition, theirs, session, exemplar)
    other = RNG.integers(6, size=(60, 40)).astype(np.uint8)
    session, theirs = desk.load_their_condition(files("other.png", other), session, exemplar)
    with pytest.raises(DataError, match="give the label map that belongs to the exemplar"):
        desk.translate(condition, theirs, session, exemplar)
    own = RNG.integers(6, size=(20, 30)).astype(np.uint8)
    session, theirs = desk.load_their_condition(files("own.png", own), session, exemplar)
    _, pictures, _ = desk.translate(condition, theirs, session, exemplar)
    wanted = translate(desk.conditions[0].condition, PHOTO, model, exemplar_condition=own)
    np.testing.assert_array_equal(decoded(pictures[0]["src"]), wanted.array)
    with pytest.raises(DataError, match="no exemplar yet"):
        desk.load_their_condition(files("own.png", own), Session(), None)


def test_maps_are_uploaded_or_chosen(maps_model, files):
    maps = RNG.random((4, 64, 64), np.float32)
    desk = Desk(maps_model, [Example("pose", np.zeros((64, 64, 3), np.uint8), maps)])
    assert not desk.draws
    session, shown, _, _ = desk.start()
    assert decoded(shown["src"]).shape == (64, 64, 3)
    session = replace(session, exemplar=PHOTO)
    _, pictures, _ = desk.translate(shown, None, session, None)
    np.testing.assert_array_equal(
        decoded(pictures[0]["src"]), translate(maps, PHOTO, maps_model).array
    )
    other = RNG.random((4, 32, 64), np.float32)
    session, shown = desk.load_condition(files("other.npy", other), session)
    _, pictures, _ = desk.translate(shown, None, session, None)
    assert (pictures[0]["height"], pictures[0]["width"]) == (32, 64)
    with pytest.raises(DataError, match="128 x 128 numbers a channel, and maps are not resized"):
        desk.load_condition(files("large.npy", RNG.random((4, 128, 128), np.float32)), session)
    with pytest.raises(DataError, match="no condition yet"):
        desk.translate(None, None, Session(exemplar=PHOTO), None)


@pytest.mark.parametrize("index", [-1, 3, 1.0, None, "0"])
def test_an_example_that_is_not_there_is_refused(desk, index):
    with pytest.raises(ConfigError, match="there is no example"):
        desk.pick_condition(index, Session())


@pytest.mark.parametrize(
    "point", [(-0.1, 0.5), (0.5, 1.1), ("0", 0.5), (None, None), (float("nan"), 0)]
)
def test_a_point_outside_is_refused(desk, point):
    session, condition, exemplar, theirs = desk.start()
    session, pictures, _ = desk.translate(condition, theirs, session, exemplar)
    for look in (desk.look_from, desk.look_by):
        with pytest.raises(ConfigError, match="outside the picture"):
            look(*point, pictures[0]["token"], session)


def forgotten(what):
    return pytest.raises(DataError, match=f"left for too long.*its {what} is no longer remembered")


def test_a_forgotten_page_is_told_so(desk, model, maps_model, files):
    """Never translated with another exemplar than the page shows."""
    session, condition, exemplar, theirs = desk.start()
    made, pictures, _ = desk.translate(condition, theirs, session, exemplar)
    other, another, _ = desk.pick_exemplar(1, session)
    for now, shown in ((Session(), exemplar), (other, exemplar), (session, another)):
        with forgotten("exemplar"):
            desk.translate(condition, theirs, now, shown)
    with forgotten("exemplar"):
        desk.translate(condition, theirs, session, None)
    token = pictures[0]["token"]
    assert token == pictures[1]["token"]
    for look in (desk.look_from, desk.look_by):
        output, source, _ = look(0.5, 0.5, token, made)
        assert output["token"] == source["token"] == token
        with forgotten("translation"):
            look(0.5, 0.5, token, Session())
        with forgotten("translation"):
            look(0.5, 0.5, exemplar["token"], made)

    comparing = Desk(model, *scene_examples(model, (32, 32), 2))
    _, _, exemplar, _ = comparing.start()
    own = files("own.png", np.zeros((32, 32), np.uint8))
    with forgotten("exemplar"):
        comparing.load_their_condition(own, Session(), exemplar)

    maps = RNG.random((4, 64, 64), np.float32)
    desk = Desk(maps_model, [Example("a", PHOTO, maps), Example("b", PHOTO, maps[::-1].copy())])
    session, shown, _, _ = desk.start()
    other, _ = desk.pick_condition(1, session)
    for now in (Session(), other):
        with forgotten("condition"):
            desk.translate(shown, None, replace(now, exemplar=PHOTO), None)


def test_visitors_translate_one_after_another(desk, monkeypatch):
    session, condition, exemplar, _ = desk.start()
    running, most, told = [], [], []

    def slow(*given, **options):
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return translate(*given, **options)

    monkeypatch.setattr("mcltoolkit.web.desk.translate", slow)

    def visit():
        told.append(desk.translate(condition, None, session, exemplar)[2])

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(told)) == (1, 4)


def test_the_exemplars_own_maps_are_those_that_are_shown(maps_model, monkeypatch):
    monkeypatch.setattr(maps_model.translator.correspondence, "mask_mix", True)
    maps = RNG.random((4, 64, 64), np.float32)
    desk = Desk(maps_model, [Example("a", PHOTO, maps)], [Example("b", PHOTO, maps)])
    session, condition, exemplar, theirs = desk.start()
    assert theirs["token"] == session.exemplar_maps_token
    with forgotten("exemplar's condition"):
        desk.translate(condition, {**theirs, "token": "other"}, session, exemplar)
