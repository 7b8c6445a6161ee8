"""Data sets, samplers and geometry: from files, or from nothing, to samples."""

from mcltoolkit.data.ade20k import ADE20K
from mcltoolkit.data.celebahq import CelebAHQEdges, CelebAHQMasks
from mcltoolkit.data.conditions import ConditionSource, DenseMaps, LabelMaps
from mcltoolkit.data.deepfashion import DeepFashion
from mcltoolkit.data.draws import Draw
from mcltoolkit.data.exemplar_dataset import ExemplarDataset, RecordDataset
from mcltoolkit.data.exemplars import ExemplarChoice, ExemplarLine, read_exemplar_list
from mcltoolkit.data.folder import FolderDataset
from mcltoolkit.data.images import image_to_tensor, labels_to_tensor, read_image, read_labels
from mcltoolkit.data.palette import class_palette, colour_labels
from mcltoolkit.data.records import Picture, Record
from mcltoolkit.data.samplers import SeededSampler
from mcltoolkit.data.scenes import SyntheticScenes, scene_grid
from mcltoolkit.data.shards import ShardSampler, TarShards
from mcltoolkit.data.transforms import Geometry, PILResize, build_transform

__all__ = [
    "ADE20K",
    "CelebAHQEdges",
    "CelebAHQMasks",
    "ConditionSource",
    "DeepFashion",
    "DenseMaps",
    "Draw",
    "ExemplarChoice",
    "ExemplarDataset",
    "ExemplarLine",
    "FolderDataset",
    "Geometry",
    "LabelMaps",
    "PILResize",
    "Picture",
    "Record",
    "RecordDataset",
    "SeededSampler",
    "ShardSampler",
    "SyntheticScenes",
    "TarShards",
    "build_transform",
    "class_palette",
    "colour_labels",
    "image_to_tensor",
    "labels_to_tensor",
    "read_exemplar_list",
    "read_image",
    "read_labels",
    "scene_grid",
]
