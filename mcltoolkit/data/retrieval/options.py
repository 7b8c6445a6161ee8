"""The command line of tools/retrieve_exemplars.py."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from mcltoolkit.data.retrieval.backbone import Backbone
from mcltoolkit.data.retrieval.features import BackboneFeatures, Features, LayoutFeatures
from mcltoolkit.data.retrieval.gallery import Gallery, dataset_folders, find_gallery
from mcltoolkit.data.retrieval.groups import Group, groups_from_file, groups_from_regex
from mcltoolkit.data.retrieval.retrieve import Exclusion, Groups, Retrieval, retrieve
from mcltoolkit.errors import ConfigError


def add_options(parser: argparse.ArgumentParser) -> None:
    """All options of the tool."""
    _data_options(parser.add_argument_group("pictures"))
    _feature_options(parser.add_argument_group("features"))
    _rule_options(parser.add_argument_group("choice"))
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out", help="list to write; default with --data-root: ROOT/exemplars_SPLIT.txt"
    )
    group.add_argument("--overwrite", action="store_true", help="replace a list that exists")
    group.add_argument("--samples", type=int, default=12, help="conditions on the page")
    group.add_argument("--sheet", action="store_true", help="write the samples as a PNG too")


def output_path(options: argparse.Namespace) -> Path:
    """Where the list goes; the other files lie beside it.

    Raises:
        ConfigError: no place is named, or it is taken.
    """
    if options.out is None and options.data_root is None:
        raise ConfigError("no place for the list; give --out FILE, such as exemplars_training.txt")
    default = Path(options.data_root or ".") / f"exemplars_{options.split}.txt"
    out = default if options.out is None else Path(options.out)
    if out.suffix != ".txt":
        raise ConfigError(f"--out is {out}; needed is a name that ends in .txt")
    if out.exists() and not options.overwrite:
        raise ConfigError(f"{out} exists; add --overwrite to replace it, or choose another --out")
    if options.samples < 1:
        raise ConfigError(f"--samples is {options.samples}; allowed are values >= 1")
    return out


def retrieval_of(options: argparse.Namespace) -> Retrieval:
    """Do what the options say, up to writing.

    Raises:
        ConfigError: a setting is not allowed.
        DataError: a folder or file cannot be used.
        WeightsError: the features' weights cannot be used.
    """
    queries, candidates = _galleries(options)
    groups = _groups(options, queries, candidates)
    if groups is None and (options.group_gap is not None or options.spread_groups):
        raise ConfigError(
            "--group-gap and --spread-groups need groups; give --groups or --group-regex"
        )
    return retrieve(
        queries,
        candidates,
        _features(options),
        options.top,
        Exclusion(options.duplicates, groups, options.group_gap, options.spread_groups),
        options.min_score,
        options.allow_fewer,
        options.workers,
        options.batch_size,
        options.cache,
    )


def _data_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--images", help="folder of the conditions' images")
    group.add_argument("--labels", help="folder of their label maps, NAME.png")
    group.add_argument("--candidates", help="folder of the exemplars' images; default: --images")
    group.add_argument("--candidate-labels", help="folder of their label maps")
    group.add_argument(
        "--data-root",
        help="in place of these: a folder with images/SPLIT and annotations/SPLIT, or with SPLIT",
    )
    group.add_argument("--split", default="training", help="the conditions' split")
    group.add_argument("--exemplar-split", default="training", help="the exemplars' split")
    group.add_argument("--label-suffix", default=".png")
    group.add_argument("--names", help="text file, one name a line: only these are conditions")
    group.add_argument("--candidate-names", help="the same: only these are exemplars")


def _feature_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--features", default="layout", help="layout, timm:NAME or torchvision:NAME")
    group.add_argument("--weights", help="file of the network's weights, 'pretrained' or 'random'")
    group.add_argument("--input-size", type=int, help="side of the network's input in pixels")
    group.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    group.add_argument(
        "--ignore-label", type=int, nargs="+", default=[], help="labels that mean unknown"
    )
    group.add_argument("--grid", type=int, default=8, help="cells a side of a layout")
    group.add_argument(
        "--histogram-share", type=float, default=0.5, help="weight of what against where"
    )
    group.add_argument("--batch-size", type=int, default=32)
    group.add_argument("--workers", type=int, default=4, help="reading threads")
    group.add_argument("--cache", help="folder to keep features in between calls")


def _rule_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--top", type=int, default=5, help="exemplars of each condition")
    group.add_argument("--min-score", type=float, help="leave out exemplars that score less")
    group.add_argument(
        "--allow-fewer", action="store_true", help="write fewer than --top where no more are left"
    )
    group.add_argument(
        "--duplicates",
        type=_threshold,
        default=Exclusion.duplicates,
        metavar="0..1|off",
        help="likeness of thumbnails from which two pictures are near-duplicates",
    )
    group.add_argument(
        "--groups", help="CSV file name,group[,frame]: no exemplars from a condition's own group"
    )
    group.add_argument("--candidate-groups", help="the same for candidates, where names repeat")
    group.add_argument("--group-regex", help="groups from names, such as '^(.*?)_'")
    group.add_argument("--group-gap", type=int, help="frames of a group farther apart are allowed")
    group.add_argument(
        "--spread-groups", action="store_true", help="keep groups apart among the exemplars too"
    )


def _threshold(text: str) -> float | None:
    return None if text == "off" else float(text)


def _galleries(options: argparse.Namespace) -> tuple[Gallery, Gallery]:
    suffix = options.label_suffix
    given = [options.images, options.labels, options.candidates, options.candidate_labels]
    if options.data_root is not None:
        if any(folder is not None for folder in given):
            raise ConfigError(
                "--data-root and the folders --images, --labels, --candidates, --candidate-labels "
                "exclude each other; give the one or the others"
            )
        return (
            _of_split(options, options.split, options.names),
            _of_split(options, options.exemplar_split, options.candidate_names),
        )
    if options.images is None:
        raise ConfigError("no pictures named; give --images FOLDER, or --data-root FOLDER")
    queries = find_gallery(
        options.images, options.labels, label_suffix=suffix, names_file=options.names
    )
    if options.candidates is not None:
        folders = options.candidates, options.candidate_labels
    elif options.candidate_names == options.names:
        return queries, queries
    else:
        folders = options.images, options.labels
    return queries, find_gallery(*folders, label_suffix=suffix, names_file=options.candidate_names)


def _of_split(options: argparse.Namespace, split: str, names: str | None) -> Gallery:
    images, labels = dataset_folders(options.data_root, split)
    # The flat layout needs its label maps in any case: they have to be told from the images.
    needed = options.features == "layout" or labels == images
    return find_gallery(
        images,
        labels if needed else None,
        label_suffix=options.label_suffix,
        names_file=names,
    )


def _groups(options: argparse.Namespace, queries: Gallery, candidates: Gallery) -> Groups | None:
    if options.groups is not None and options.group_regex is not None:
        raise ConfigError("--groups and --group-regex exclude each other; give one of them")
    if options.candidate_groups is not None and options.groups is None:
        raise ConfigError("--candidate-groups goes with --groups; give both")
    found: list[list[Group]] = []
    for gallery, file in (
        (queries, options.groups),
        (candidates, options.candidate_groups or options.groups),
    ):
        if options.group_regex is not None:
            found.append(groups_from_regex(options.group_regex, gallery.names))
        elif file is not None:
            found.append(groups_from_file(file, gallery.names))
    return (found[0], found[1]) if found else None


def _features(options: argparse.Namespace) -> Features:
    if options.features != "layout":
        return BackboneFeatures(
            Backbone(options.features, options.weights, options.input_size, options.device)
        )
    if options.weights is not None:
        raise ConfigError(
            f"--features layout takes no weights, --weights is {options.weights}; leave it out, or "
            f"name a network such as --features timm:resnet50"
        )
    return LayoutFeatures(options.ignore_label, options.grid, options.histogram_share)
