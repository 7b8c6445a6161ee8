"""How many samples a second one data worker gives: from a folder, from tar shards, and at best.

The yardstick of the same run is plain PIL: each file of a sample decoded into an array, nothing
else. A sample has four files: image and label map of the condition, and the exemplar's.

python benchmarks/input_side.py                          # 367 made pictures of CamVid's kind
python benchmarks/input_side.py configs/mclnet_camvid.py --data-root data/camvid_128
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, os.getcwd())

from mcltoolkit.waiting import wait_quietly

wait_quietly()  # before torch is imported

import numpy as np
import torch
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from mcltoolkit.data import FolderDataset, TarShards
from mcltoolkit.data.shards import make_shards
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.data_loader import build_loader
from mcltoolkit.engine.launch import run_tool
from mcltoolkit.registry import DATASETS, build_component

GEOMETRY = [
    dict(type="PILResize", height=72, width=108),
    dict(type="RandomCrop", height=64, width=96),
    dict(type="HorizontalFlip", p=0.5),
]


def make_folder(root: Path, count: int, size: tuple[int, int]) -> dict:
    """Pictures with edges and texture, so that decoding costs what photos cost; the data set's
    config."""
    rng = np.random.default_rng(0)
    for kind in ("images", "annotations"):
        (root / kind / "training").mkdir(parents=True)
    lines = []
    for number in range(count):
        coarse = rng.integers(0, 12, (size[0] // 12, size[1] // 12), dtype=np.uint8)
        labels = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.NEAREST)
        colours = rng.integers(0, 256, (12, 3), dtype=np.uint8)[np.array(labels)]
        noisy = np.clip(colours.astype(int) + rng.integers(-20, 21, colours.shape), 0, 255)
        photo = Image.fromarray(noisy.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
        photo.save(root / "images" / "training" / f"{number:05d}.jpg", quality=92)
        labels.save(root / "annotations" / "training" / f"{number:05d}.png")
        others = rng.integers(0, count, 3)
        lines.append(",".join(f"{n:05d}.jpg" for n in (number, *others)))
    (root / "exemplars.txt").write_text("\n".join(lines))
    return dict(
        type="FolderDataset", data_root=str(root), num_classes=12, geometry=GEOMETRY,
        exemplar_list="exemplars.txt",
    )  # fmt: skip


def through_loader(dataset: object, workers: int, batch_size: int, epochs: int) -> list[float]:
    """Samples a second of each epoch after the first, which starts the worker and the caches."""
    loader = build_loader(
        dict(
            dataset=dataset, batch_size=batch_size, num_workers=workers, drop_last=True,
            persistent_workers=workers > 0, sampler=dict(type="SeededSampler"),
        ),
        seed=0,
    )  # fmt: skip
    rates = []
    for epoch in range(epochs + 1):
        loader.sampler.set_epoch(epoch)
        start, count = time.perf_counter(), 0
        for batch in loader:
            count += len(batch)
        rates.append(count / (time.perf_counter() - start))
    return rates[1:]


def plain_decoding(dataset: FolderDataset, epochs: int) -> list[float]:
    """Samples a second where PIL and numpy do nothing but decode the four files of each."""
    rates = []
    for _ in range(epochs + 1):
        start = time.perf_counter()
        for record in dataset.records:
            exemplar = record.exemplars[0] if record.exemplars else record.condition
            for picture in (record.condition, exemplar):
                np.array(Image.open(picture.image).convert("RGB"))
                np.array(Image.open(picture.labels))
        rates.append(len(dataset) / (time.perf_counter() - start))
    return rates[1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="its training data; default: a made folder")
    parser.add_argument("--data-root", help="in place of the config's data_root")
    parser.add_argument("--count", type=int, default=367, help="pictures of the made folder")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("H", "W"))
    parser.add_argument("--workers", type=int, default=1, help="0 reads in this process")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after one that is not")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        if options.config:
            config = load_config(options.config, data_root=options.data_root)
            settings = config.train_dataloader.dataset.to_dict()
        else:
            settings = make_folder(Path(scratch, "set"), options.count, tuple(options.size))
        folder = build_component(DATASETS, settings, "train_dataloader.dataset")
        make_shards(folder, Path(scratch, "shards"), "training")
        kept = ("geometry", "exemplar_geometry", "exemplar_choice", "ignore_label", "label_map")
        shards = TarShards(
            Path(scratch, "shards"), **{key: settings[key] for key in kept if key in settings}
        )
        found = {"plain PIL + numpy": plain_decoding(folder, options.epochs)}
        for name, dataset in (("folder", folder), ("tar shards", shards)):
            found[name] = through_loader(
                dataset, options.workers, options.batch_size, options.epochs
            )
    table = Table(title=f"{len(folder)} samples, {options.workers} worker(s)")
    for title in ("source", "samples/s (median)", "lowest .. highest", "of plain decoding"):
        table.add_column(title)
    best = statistics.median(found["plain PIL + numpy"])
    for name, rates in found.items():
        middle = statistics.median(rates)
        table.add_row(
            name, f"{middle:.0f}", f"{min(rates):.0f} .. {max(rates):.0f}", f"{middle / best:.2f}"
        )
    Console().print(table)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    run_tool(main)
