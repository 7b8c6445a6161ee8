"""A data set as tar shards, for data larger than a disk or on slow or remote storage.

python tools/make_shards.py CONFIG --out FOLDER [--loader val] [--data-root DIR]
python tools/make_shards.py --index FOLDER --split training     # of shards that are there
"""

import argparse
import os
import sys

sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

from mmengine.config import DictAction

from mcltoolkit.data.shards import make_index, make_shards
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.registry import DATASETS, build_component


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="config whose data set is put into shards")
    parser.add_argument("--out", metavar="FOLDER", help="where shards and index are written")
    parser.add_argument("--loader", choices=("train", "val", "test"), default="train")
    parser.add_argument("--split", help="name of the files; default: the data set's split")
    parser.add_argument("--data-root", help="folder of the data set, in place of the config's")
    parser.add_argument(
        "--shard-size", type=float, default=256.0, metavar="MB", help="of a shard; default 256"
    )
    parser.add_argument(
        "--exemplars", type=int, default=2, help="of each sample to pack: first and last by default"
    )
    parser.add_argument("--index", metavar="FOLDER", help="only write the index of shards in here")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE"
    )
    return parser


def main() -> None:
    """Write shards, or the index of shards."""
    parser = _parser()
    options = parser.parse_args()
    if options.index:
        if options.config or options.out or not options.split:
            parser.error("--index FOLDER takes --split alone")
        folder, split = options.index, options.split
        index = make_index(folder, split)
    else:
        if not options.config or not options.out:
            parser.error("needs CONFIG and --out FOLDER, or --index FOLDER; see --help")
        name = f"{options.loader}_dataloader"
        config = load_config(options.config, options.cfg_options, data_root=options.data_root)
        settings = (config.get(name) or {}).get("dataset")
        dataset = build_component(DATASETS, settings, f"{name}.dataset")
        folder, split = options.out, options.split or settings.get("split", "training")
        index = make_shards(
            dataset, folder, split, options.shard_size, options.exemplars, progress=True
        )
    size = sum(length for _, length in index.shards)
    print(f"{len(index.samples)} samples in {len(index.shards)} shards, {size / 1e6:.1f} MB")
    print(f"use them with dataset=dict(type='TarShards', data_root={folder!r}, split={split!r})")


if __name__ == "__main__":
    run_tool(main)
