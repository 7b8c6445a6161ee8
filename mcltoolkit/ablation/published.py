"""Published ablation tables, to print beside one's own results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcltoolkit.errors import ConfigError, near_matches


@dataclass(frozen=True)
class PublishedColumn:
    """A column of a published table: its heading, better direction and decimals."""

    label: str
    better: str
    decimals: int


@dataclass(frozen=True)
class PublishedTable:
    """Numbers of a paper; None where the source cannot be read.

    Attributes:
        title: what the table is.
        source: where it stands.
        setting: what was trained and tested, for those who compare.
        columns: by key.
        rows: row name -> column key -> value.
        reference: the row of the full method.
    """

    title: str
    source: str
    setting: str
    columns: Mapping[str, PublishedColumn]
    rows: Mapping[str, Mapping[str, float | None]]
    reference: str


_COLUMNS = {
    "fid": PublishedColumn("FID", "lower", 2),
    "style_color": PublishedColumn("style relevance, colour", "higher", 3),
    "style_texture": PublishedColumn("style relevance, texture", "higher", 3),
    "semantic_consistency": PublishedColumn("semantic consistency", "higher", 3),
}
_ROWS = {
    "full": (24.35, 0.984, 0.967, 0.886),
    "w/o cyc": (28.73, 0.986, 0.962, 0.863),
    "w/o fcst": (29.69, 0.988, 0.968, 0.867),
    "w/o per": (46.32, 0.972, 0.876, 0.817),
    "w/o cxt": (38.04, 0.963, 0.945, 0.864),
    "w/o pse": (25.88, 0.980, 0.962, 0.884),
    "w/o mcl": (26.12, 0.977, 0.965, 0.853),
    "w/o adv": (None, None, None, 0.853),
}

PUBLISHED = {
    "supplement_table1": PublishedTable(
        title="MCL-Net without one loss term each",
        source="Zhan et al., CVPR 2022, supplementary material, Table 1",
        setting="ADE20K, 256x256, the whole training schedule, one run a row",
        columns=_COLUMNS,
        rows={name: dict(zip(_COLUMNS, values, strict=True)) for name, values in _ROWS.items()},
        reference="full",
    )
}


def published_table(name: str) -> PublishedTable:
    """The table of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PUBLISHED:
        raise ConfigError(
            f"`published` is {name!r}{near_matches(str(name), PUBLISHED)}; known are "
            f"{', '.join(PUBLISHED)}"
        )
    return PUBLISHED[name]
