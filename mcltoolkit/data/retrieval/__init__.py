"""Exemplar retrieval: lists of the most similar pictures for any data set."""

from mcltoolkit.data.retrieval.backbone import Backbone
from mcltoolkit.data.retrieval.features import BackboneFeatures, Features, LayoutFeatures
from mcltoolkit.data.retrieval.gallery import Gallery, dataset_folders, find_gallery
from mcltoolkit.data.retrieval.groups import Group, groups_from_file, groups_from_regex
from mcltoolkit.data.retrieval.layout import LayoutSimilarity, label_layout, stack_layouts
from mcltoolkit.data.retrieval.ranking import Ranking, rank
from mcltoolkit.data.retrieval.retrieve import (
    Exclusion,
    Retrieval,
    list_text,
    retrieve,
    scores_text,
)
from mcltoolkit.data.retrieval.rules import Facts, Rules
from mcltoolkit.data.retrieval.similarity import CosineSimilarity, Similarity

__all__ = [
    "Backbone",
    "BackboneFeatures",
    "CosineSimilarity",
    "Exclusion",
    "Facts",
    "Features",
    "Gallery",
    "Group",
    "LayoutFeatures",
    "LayoutSimilarity",
    "Ranking",
    "Retrieval",
    "Rules",
    "Similarity",
    "dataset_folders",
    "find_gallery",
    "groups_from_file",
    "groups_from_regex",
    "label_layout",
    "list_text",
    "rank",
    "retrieve",
    "scores_text",
    "stack_layouts",
]
