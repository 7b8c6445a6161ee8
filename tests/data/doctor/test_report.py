from __future__ import annotations

import io

from rich.console import Console

from mcltoolkit.data.doctor import ClassShare, Diagnosis, Finding, show


def shown(findings, shares=(), **arguments):
    text = io.StringIO()
    console = Console(file=text, width=90)
    show(
        Diagnosis(
            root="data/[street]",
            splits={"training": (30, 29)},
            num_classes=len(shares),
            classes=tuple(shares),
            sizes={(80, 96): 20, (480, 640): 9, (40, 50): 1},
            findings=tuple(findings),
        ),
        console,
        **arguments,
    )
    return text.getvalue()


def test_a_finding_shows_first_files_count_and_next_step():
    files = tuple(f"images/training/photo[{n}].jpg" for n in range(7))
    text = shown([Finding("image-mode", "error", "odd modes", files, "RGB", "convert them")])
    assert "data/[street]" in text
    assert "photo[2].jpg" in text
    assert "photo[3].jpg" not in text
    for words in ("... 4 more", "allowed: RGB", "next: convert them", "image-mode", " 7 "):
        assert words in text
    assert "1 error, 0 warnings, 0 notes" in text


def test_sizes_and_classes():
    text = shown([], [ClassShare(k, f"thing {k}", 2.0**-k / 2, 0.5) for k in range(5)], classes=3)
    assert "smallest 40x50, largest 480x640, commonest 80x96 (20 of 30)" in text
    assert "nothing found" in text
    assert "the 3 most frequent of 5 classes" in text
    assert "12.50%" in text
    assert "thing 3" not in text
