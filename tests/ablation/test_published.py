import pytest

from mcltoolkit.ablation.published import PUBLISHED, published_table
from mcltoolkit.errors import ConfigError


def test_the_supplements_table():
    table = PUBLISHED["supplement_table1"]
    assert list(table.rows) == ["full", "w/o cyc", "w/o fcst", "w/o per", "w/o cxt", "w/o pse",
                                "w/o mcl", "w/o adv"]  # fmt: skip
    assert table.rows["w/o per"] == {
        "fid": 46.32,
        "style_color": 0.972,
        "style_texture": 0.876,
        "semantic_consistency": 0.817,
    }
    # the paper's claim: every term helps FID
    values = [row["fid"] for row in table.rows.values() if row["fid"] is not None]
    assert min(values) == table.rows[table.reference]["fid"]
    unreadable = table.rows["w/o adv"]
    assert [key for key, value in unreadable.items() if value is not None] == [
        "semantic_consistency"
    ]


def test_an_unknown_table():
    with pytest.raises(ConfigError, match="did you mean 'supplement_table1'"):
        published_table("supplement_table2")
