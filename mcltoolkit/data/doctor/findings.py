"""What the doctor says: one finding a fault, with how bad it is, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mcltoolkit.errors import ConfigError, near_matches

SEVERITIES = ("error", "warning", "note")
CODES = (
    "no-labels",
    "no-training-split",
    "no-held-out-split",
    "empty-split",
    "folder-left-out",
    "image-without-label",
    "label-without-image",
    "same-name",
    "unreadable-image",
    "unreadable-label",
    "image-mode",
    "blank-image",
    "label-size",
    "small-image",
    "stretched-image",
    "label-colours",
    "unknown-colour",
    "lossy-label",
    "speckled-label",
    "label-range",
    "blank-label",
    "unused-class",
    "untrained-class",
    "classes-inferred",
    "leak",
    "shared-held-out",
    "repeats",
    "list-unreadable",
    "list-unchecked",
    "list-missing-file",
    "list-foreign-exemplar",
    "list-self-exemplar",
    "list-near-duplicate",
    "list-incomplete",
    "no-exemplar-list",
)


def check_codes(codes: Iterable[str]) -> frozenset[str]:
    """The codes as a set.

    Raises:
        ConfigError: one of them is no code of a finding.
    """
    wanted = frozenset(codes)
    for code in sorted(wanted - set(CODES)):
        raise ConfigError(
            f"--accept {code!r} is no finding{near_matches(code, CODES)}; allowed are "
            f"{', '.join(CODES)}"
        )
    return wanted


@dataclass(frozen=True)
class Finding:
    """One kind of fault in a data set.

    Args:
        code: its name, one of CODES.
        severity: `error`: training or testing stops here, or measures the wrong thing; `warning`:
            it runs, but hardly as meant; `note`: good to know.
        what: what was found, in a few words.
        files: every file (or pair, or line) concerned.
        allowed: what would be right.
        remedy: the next step.
    """

    code: str
    severity: str
    what: str
    files: tuple[str, ...]
    allowed: str
    remedy: str

    def __post_init__(self) -> None:
        assert self.code in CODES, self.code
        assert self.severity in SEVERITIES, self.severity

    @property
    def count(self) -> int:
        """Number of files (pairs, lines) concerned."""
        return len(self.files)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, every file included."""
        return {
            "code": self.code,
            "severity": self.severity,
            "what": self.what,
            "count": self.count,
            "files": list(self.files),
            "allowed": self.allowed,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class ClassShare:
    """How often a class occurs: shares in 0..1 of all label pixels and of all label maps."""

    number: int
    name: str
    pixels: float
    images: float


@dataclass(frozen=True)
class Diagnosis:
    """Everything the doctor found.

    Args:
        root: folder of the data set.
        splits: for each split the number of images and of label maps.
        num_classes: K, given or inferred; None where no label map tells.
        classes: one entry for each class, over all splits.
        sizes: (height, width) of images -> how many.
        findings: worst first.
    """

    root: str
    splits: dict[str, tuple[int, int]]
    num_classes: int | None
    classes: tuple[ClassShare, ...]
    sizes: dict[tuple[int, int], int]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "root": self.root,
            "splits": {k: {"images": i, "labels": n} for k, (i, n) in self.splits.items()},
            "num_classes": self.num_classes,
            "classes": [vars(share) for share in self.classes],
            "sizes": [{"height": h, "width": w, "images": n} for (h, w), n in self.sizes.items()],
            "errors": self.errors,
            "findings": [finding.to_dict() for finding in self.findings],
        }
