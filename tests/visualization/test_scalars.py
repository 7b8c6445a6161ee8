from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from mmengine.visualization import LocalVisBackend

from mcltoolkit.errors import DataError
from mcltoolkit.visualization.scalars import (
    Series,
    find_scalars,
    group_scalars,
    read_scalars,
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


def test_a_resumed_run_ends_all_scalars_of_the_earlier_one(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    lines = [{"step": s, "loss": 1.0, "loss_mask": 2.0} for s in (50, 100, 150)]
    lines += [{"step": s, "psnr": 20.0} for s in (100, 150)] + [{"step": 150, "late": 1.0}]
    first.write_text("\n".join(map(json.dumps, lines)))
    second.write_text('{"step": 110, "loss": 3.0}\n{"step": 120, "big": 1' + 400 * "0" + "}\n")
    scalars = read_scalars([first, second])
    assert scalars == {
        "loss": Series([50, 100, 110], [1.0, 1.0, 3.0]),
        "loss_mask": Series([50, 100], [2.0, 2.0]),
        "psnr": Series([100], [20.0]),
        "big": Series([120], [math.inf]),
    }


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
