import base64
import hashlib
import io

import numpy as np
from PIL import Image

from mcltoolkit.visualization.embedding import LARGE, figure, picture_source, script_hash
from mcltoolkit.visualization.images import png_bytes


def decoded(source):
    kind, text = source.removeprefix("data:image/").split(";base64,")
    content = base64.b64decode(text)
    return kind, content, np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_small_pictures_are_exact():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    kind, _, found = decoded(picture_source(picture))
    assert kind == "png"
    assert (found == picture).all()


def test_large_photos_become_smaller_and_stay_alike():
    rng = np.random.default_rng(0)
    rows = np.sin(np.linspace(0, 9, 256))[:, None, None] * [90, 60, 30] + 128
    photo = (rows + rng.normal(0, 4, (256, 256, 3))).clip(0, 255).astype(np.uint8)
    exact = png_bytes(photo)
    assert len(exact) > LARGE
    kind, content, found = decoded(picture_source(photo))
    assert kind == "webp"
    assert len(content) < len(exact) / 3
    assert np.abs(found - photo).mean() < 6


def test_large_flat_pictures_stay_exact():
    labels = np.kron(np.arange(16).reshape(4, 4), np.ones((128, 128))).astype(np.uint8)
    picture = np.repeat(labels[..., None] * 16, 3, axis=2)
    kind, _, found = decoded(picture_source(picture))
    assert kind == "png"
    assert (found == picture).all()


def test_a_picture_too_long_for_webp_stays_exact():
    noise = np.random.default_rng(0).integers(0, 255, (2, 17000, 3), dtype=np.uint8)
    assert len(png_bytes(noise)) > LARGE
    kind, _, found = decoded(picture_source(noise))
    assert kind == "png"
    assert (found == noise).all()


def test_files_are_embedded_as_they_are():
    assert picture_source(b"<svg/>") == "data:image/svg+xml;base64,PHN2Zy8+"
    assert "a &lt; b</figcaption>" in figure(b"<svg/>", "a < b")
    assert 'alt="&lt;x&gt;"' in figure(b"<svg/>", alt="<x>")


def test_a_scripts_name_is_its_hash():
    digest = hashlib.sha256(b"alert(1)").digest()
    assert script_hash("alert(1)") == f"'sha256-{base64.b64encode(digest).decode()}'"
