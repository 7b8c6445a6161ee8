from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data.retrieval import Exclusion, LayoutFeatures, find_gallery, retrieve
from mcltoolkit.visualization.exemplar_page import evenly, exemplar_page, exemplar_sheet


@pytest.fixture
def result(tmp_path):
    """Five photos of one colour each, 240 x 120, on label maps with a border that wanders."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(5):
        labels = np.zeros((24, 48), np.uint16)
        labels[:, 8 * number + 4 :] = 700
        Image.new("RGB", (240, 120), (40 * number, 200, 90)).save(
            tmp_path / "images" / f"p{number}&.png"
        )
        Image.fromarray(labels).save(tmp_path / "labels" / f"p{number}&.png")
    gallery = find_gallery(tmp_path / "images", tmp_path / "labels")
    return retrieve(gallery, gallery, LayoutFeatures(), 2, Exclusion(duplicates=None))


def pictures(html):
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in found]


def test_page_shows_labels_condition_and_exemplars(result, tmp_path):
    path = exemplar_page(result, tmp_path / "page.html", samples=2, worst=1)
    html = path.read_text()
    shown = pictures(html)
    assert len(shown) == 3 * 4
    # the first condition (red 0) has the second picture (red 40), then the third as exemplars
    assert [int(p[50, 50, 0]) for p in shown[1:4]] == [0, 40, 80]
    assert shown[1].shape == (100, 200, 3)
    assert len(np.unique(shown[0].reshape(-1, 3), axis=0)) == 2, "two classes"
    score = result.exemplars(0)[0][1]
    assert f"{score:.3f} p1&amp;.png" in html
    for fact in ("near-duplicates", "not excluded", "histogram share", "5 candidates"):
        assert fact in html
    assert not re.search(r'(src|href)\s*=\s*["\']?\s*(https?:|//)', html)


def test_sheet_has_a_row_each(result, tmp_path):
    path = exemplar_sheet(result, tmp_path / "sheet.png", samples=3)
    picture = np.asarray(Image.open(path).convert("RGB"))
    for number in (0, 1, 3):
        assert (picture == (40 * number, 200, 90)).all(-1).sum() >= 100 * 200
    assert not list(tmp_path.glob(".*tmp"))


def test_even_numbers():
    assert evenly(10, 4) == [0, 2, 5, 7]
    assert evenly(3, 12) == [0, 1, 2]
