from __future__ import annotations

import io
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from mmengine.visualization import LocalVisBackend
from PIL import Image

from mcltoolkit.errors import DataError
from mcltoolkit.visualization.curves import (
    Series,
    curve_panels,
    draw_curves,
    find_scalars,
    group_scalars,
    read_scalars,
    smooth,
)


def test_reads_what_mmengine_writes(tmp_path: Path) -> None:
    backend = LocalVisBackend(str(tmp_path / "20250101_000000" / "vis_data"))
    backend.add_scalars({"loss": 2.5, "iter": 10}, step=10)
    backend.add_scalars({"loss": 1.5, "iter": 20}, step=20)
    backend.add_scalars({"psnr": 21.0}, step=20)
    (file,) = find_scalars(tmp_path)
    scalars = read_scalars(file)
    assert scalars["loss"] == Series([10, 20], [2.5, 1.5])
    assert scalars["psnr"] == Series([20], [21.0])


def test_a_truncated_last_line_is_ignored_but_no_other(tmp_path: Path) -> None:
    whole = '{"loss": 1.0, "step": 1}\n{"loss": NaN, "step": 2}\n'
    file = tmp_path / "scalars.json"
    for cut in ('{"loss": 0.5, "st', '{"lo', "{", "[1"):
        file.write_text(whole + cut)
        read = read_scalars(file)["loss"]
        assert read.steps == [1, 2]
        assert read.values[0] == 1.0
        assert math.isnan(read.values[1])
    file.write_text('{"loss": 1.0, "st\n' + whole)
    with pytest.raises(DataError, match="line 1"):
        read_scalars(file)
    with pytest.raises(DataError, match=r"nothing\.json"):
        read_scalars(tmp_path / "nothing.json")
    file.write_text("")
    assert read_scalars(file) == {}


def test_a_resumed_run_replaces_what_it_repeats(tmp_path: Path) -> None:
    def write(name: str, steps: range, offset: float) -> Path:
        path = tmp_path / name
        lines = [
            json.dumps({"loss": s + offset, "step": s, "note": "x", "on": True}) for s in steps
        ]
        path.write_text("\n".join(lines))
        return path

    first = write("a.json", range(10, 60, 10), 0.0)
    second = write("b.json", range(40, 80, 10), 0.5)
    scalars = read_scalars([first, second])
    assert scalars == {"loss": Series([10, 20, 30, 40, 50, 60, 70],
                                      [10, 20, 30, 40.5, 50.5, 60.5, 70.5])}  # fmt: skip


def test_groups() -> None:
    names = ["generator_lr", "lr", "time", "loss_adv", "loss", "loss_d_adv", "loss_mcl", "memory",
             "psnr_untrained", "psnr", "label_accuracy", "iter", "loss_d_penalty"]  # fmt: skip
    assert group_scalars(names) == {
        "loss": ["loss"],
        "adv": ["loss_adv", "loss_d_adv"],
        "mcl": ["loss_mcl"],
        "d_penalty": ["loss_d_penalty"],
        "psnr": ["psnr_untrained", "psnr"],
        "label_accuracy": ["label_accuracy"],
    }


def test_smoothing_keeps_a_trend_and_calms_noise() -> None:
    line = [3.0 - 0.25 * i for i in range(50)]
    assert smooth(line, 4)[:-4] == pytest.approx(line[:-4])
    assert smooth(line, 4)[-1] == pytest.approx(np.mean(line[-5:]))
    noise = np.random.default_rng(0).standard_normal(400)
    calm = np.array(smooth(noise.tolist(), 10))
    assert calm[10:-10].std() < 0.35 * noise.std()
    assert calm[200] == pytest.approx(noise[190:211].mean())
    assert smooth([1.0, math.nan, 3.0], 1) == [1.0, 2.0, 3.0]
    assert math.isnan(smooth([math.inf], 3)[0])
    assert smooth([], 3) == []


def test_curves_are_images_and_the_same_each_time() -> None:
    steps = [float(s) for s in range(1, 100)]
    scalars = {
        "loss": Series(steps, [100 / s for s in steps]),
        "loss_adv": Series(steps, [math.nan if s == 50 else s for s in steps]),
        "psnr": Series([50.0], [20.0]),
        "flat": Series(steps, [0.0] * len(steps)),
        "broken": Series([1.0], [math.nan]),
    }
    image = Image.open(io.BytesIO(draw_curves(scalars)))
    assert image.format == "PNG"
    assert image.width > 900
    panels = curve_panels(scalars)
    assert [title for title, _ in panels] == ["loss", "adv", "psnr", "flat", "broken"]
    for _, svg in panels:
        assert ET.fromstring(svg).tag.endswith("svg")
    assert panels == curve_panels(scalars)
    with pytest.raises(DataError, match="no scalars"):
        draw_curves({"lr": Series([1], [1])})
