from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.plugins import PluginWarning
from mcltoolkit.visualization import translation_report
from mcltoolkit.visualization.images import to_uint8

PALETTE = [(10, 20, 30), (200, 0, 0), (0, 0, 255)]
METRICS = {
    "psnr": 23.456,
    "psnr_copy_exemplar": 10.31,
    "psnr_untrained": 8.12,
    "label_accuracy": 0.9231,
    "train_seconds": 412.3,
    "my_score": 7.125,
}


def embedded(html: str) -> list[np.ndarray]:
    import base64

    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in found]


def test_report_of_a_run_holds_all_its_parts(make_predictions, tmp_path: Path) -> None:
    predictions = make_predictions(torch.arange(24).repeat(3, 1))
    scalars = tmp_path / "scalars.json"
    lines = [json.dumps({"loss": 9.0 / s, "loss_mcl": 1.0, "step": s}) for s in range(1, 40)]
    scalars.write_text("\n".join(lines) + '\n{"loss":')
    path = translation_report(
        tmp_path / "report.html",
        predictions,
        METRICS,
        PALETTE,
        ["sky", "road", "car <old>"],
        scalars,
        "A run",
        {"config": "configs/a.py", "steps": 39, "versions": "torch 2"},
        rows=2,
        matches=1,
    )
    html = path.read_text(encoding="utf-8")
    for number in ("23.46 dB", "+13.15 dB", "+15.34 dB", "0.923", "412.3 s", "7.125", "39"):
        assert number in html
    for word in ("car &lt;old&gt;", "configs/a.py", "scene_0", "#c80000", "my score"):
        assert word in html
    assert html.count("data:image/svg+xml") == 2
    images = embedded(html)
    # Two rows of five, the inspector's pairs, then one match of three pictures.
    assert len(images) == 17
    assert (images[3] == to_uint8(predictions[0].fake)).all()
    assert (images[7] == to_uint8(predictions[1].warped)).all()
    assert "own image" not in html
    assert not re.search(r'(src|href)\s*=\s*["\']?\s*(https?:|//)', html)


def test_report_without_anything_optional(make_predictions, tmp_path: Path) -> None:
    predictions = [
        dataclasses.replace(
            p, labels=None, exemplar_labels=None, truth=truth, paired=False, warped_labels=None
        )
        for p in make_predictions(torch.arange(24).repeat(2, 1))
        for truth in (None, p.truth)
    ]
    html = translation_report(tmp_path / "r.html", predictions, {}).read_text(encoding="utf-8")
    assert html.count("own image</figcaption>") == 2
    assert "truth</figcaption>" not in html
    assert "<h2>Classes" not in html
    assert "<h2>Curves" not in html
    assert "red ring" not in html
    empty = translation_report(tmp_path / "e.html", [], {"psnr": 1.0}).read_text(encoding="utf-8")
    assert "1.00 dB" in empty


def test_legend_of_many_classes_lists_those_seen(make_predictions, tmp_path: Path) -> None:
    predictions = make_predictions(torch.arange(24)[None], classes=151)
    predictions[0].labels[0, 0] = 150
    names = [f"class-{i}." for i in range(151)]
    html = translation_report(tmp_path / "r.html", predictions, {}, None, names).read_text()
    legend = html[html.index("<h2>Classes") : html.index("<h2>The match")]
    assert re.findall(r"class-(\d+)\.", legend) == ["0", "1", "150"]


def test_plugins_add_sections_and_a_failing_one_leaves_a_note(
    make_predictions, load_plugin, tmp_path: Path
) -> None:
    load_plugin(
        "adds",
        """
        @hookimpl
        def add_report_sections(report, predictions, metrics):
            report.add_text(f"{len(predictions)} samples, psnr {metrics['psnr']}", title="Mine")
        """,
    )
    file = load_plugin(
        "fails",
        """
        @hookimpl
        def add_report_sections(report):
            report.add_text("half a section")
            raise ValueError("no <luck>")
        """,
    )
    with pytest.warns(PluginWarning, match="its add_report_sections raised ValueError: no <luck>"):
        path = translation_report(
            tmp_path / "report.html", make_predictions(torch.arange(24).repeat(2, 1)), METRICS
        )
    html = path.read_text()
    assert "<h2>Mine</h2><p>2 samples, psnr 23.456</p>" in html
    assert html.index("<h2>Metrics") < html.index("<h2>Mine") < html.index("<h2>Plugin fails")
    assert f"plugin &#x27;fails&#x27; (config, {file}:6)" in html
    assert "no &lt;luck&gt;" in html
    assert "half a section" not in html
