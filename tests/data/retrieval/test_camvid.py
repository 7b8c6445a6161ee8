"""Against lists that others made of real street scenes by nearly the same rule."""

from __future__ import annotations

import pytest
import torch

from mcltoolkit.data import FolderDataset, read_exemplar_list
from mcltoolkit.data.retrieval import (
    Exclusion,
    LayoutFeatures,
    find_gallery,
    groups_from_regex,
    list_text,
    retrieve,
)
from mcltoolkit.data.retrieval.describe import describe


@pytest.fixture(scope="module")
def camvid(shared_data):
    """Conditions (test), candidates (training), their groups, and the list shipped with them."""
    root = shared_data / "camvid_128"
    galleries = [
        find_gallery(root / "images" / split, root / "annotations" / split)
        for split in ("test", "training")
    ]
    groups = tuple(groups_from_regex(r"^([^_]+)_f?(\d+)", g.names) for g in galleries)
    return *galleries, groups, read_exemplar_list(root / "exemplars_test.txt")


def test_the_shipped_lists_rule_leads_to_much_the_same_list(camvid):
    """The shipped list also leaves out frames of one place by a stricter rule, so not all agrees:
    where a shipped exemplar is allowed here, what is taken in its stead must be more alike."""
    queries, candidates, groups, shipped = camvid
    features = LayoutFeatures(ignored=[11])
    exclusion = Exclusion(groups=groups, gap=150, spread=True)
    result = retrieve(queries, candidates, features, 3, exclusion)
    similarity = features.similarity(describe(queries, features), describe(candidates, features))
    hits = 0
    for number, name in enumerate(queries.names):
        picked = result.exemplars(number)
        listed = shipped[name].exemplars
        at = candidates.names.index(listed[0])
        score = float(similarity.block(torch.tensor([number]), slice(at, at + 1)))
        assert picked[0][1] >= score - 1e-6
        hits += listed[0] in [candidates.names[c] for c, _ in picked]
    assert hits >= 0.4 * len(queries), "by chance it would be less than one in a hundred"


def test_whole_sequences_kept_apart(camvid, shared_data, tmp_path):
    queries, candidates, groups, _ = camvid
    exclusion = Exclusion(groups=groups)
    result = retrieve(queries, candidates, LayoutFeatures(ignored=[11]), 3, exclusion)
    assert all(
        candidates.names[c].split("_")[0] != name.split("_")[0]
        for number, name in enumerate(queries.names)
        for c, _ in result.exemplars(number)
    )
    (tmp_path / "list.txt").write_text(list_text(result))
    dataset = FolderDataset(
        shared_data / "camvid_128", "test", exemplar_list=str(tmp_path / "list.txt"),
        exemplar_choice="first",
    )  # fmt: skip
    sample = dataset[7]
    assert f"{sample.exemplar_name}.jpg" == candidates.names[result.exemplars(7)[0][0]]
    assert int(sample.exemplar_labels.max()) <= 11
