from __future__ import annotations

import io
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.errors import DataError
from mcltoolkit.visualization.curves import (
    DRAWN_BELOW,
    curve_panels,
    draw_curves,
    smooth,
)
from mcltoolkit.visualization.scalars import Series


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


@pytest.mark.parametrize(
    "values", [(1e308, -1e308), (1e300, 1e308), (math.inf, -math.inf), (9e99, 1.0), (5e-324, 1.0)]
)
def test_values_at_the_end_of_the_range_are_drawn_or_told(values: tuple[float, float]) -> None:
    svg = draw_curves({"loss": Series([1, 2, 3], [*values, 1.0])}, "svg").decode()
    told = sum(abs(v) >= DRAWN_BELOW for v in values)
    assert (f"<!-- {told} values not finite -->" in svg) == bool(told)
