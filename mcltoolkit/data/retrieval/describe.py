"""Reading all pictures of a gallery once: features for the ranking, thumbnails for duplicates."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from mcltoolkit.data.images import read_image
from mcltoolkit.data.near_duplicates import thumbnail_vector
from mcltoolkit.data.retrieval.features import Features
from mcltoolkit.data.retrieval.gallery import Gallery
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.files import write_atomically

THUMBNAILS = "thumbnails"


def describe(
    gallery: Gallery,
    features: Features,
    thumbnails: bool = True,
    workers: int = 4,
    batch: int = 32,
    cache: str | Path | None = None,
    title: str = "reading",
) -> dict[str, np.ndarray]:
    """The arrays that `features.gather` makes of the gallery, and `thumbnails` (N, T).

    A batch at a time is read by threads and described together, so that memory holds one batch of
    pictures and what was made of the others.

    Args:
        thumbnails: whether near-duplicates will be looked for.
        workers: reading threads.
        batch: pictures of one pass.
        cache: a folder to keep the arrays in; they are taken from there as long as neither the
            files (name, size, time) nor the features' settings have changed.
        title: words before the progress bar.

    Raises:
        ConfigError: workers or batch below 1, or features of labels for a gallery without.
        DataError: a file is broken; the message names it.
    """
    for name, value in {"--workers": workers, "--batch-size": batch}.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; allowed are values >= 1")
    check_labels(gallery, features)
    kept = None if cache is None else Path(cache) / f"{_key(gallery, features, thumbnails)}.npz"
    if kept is not None and kept.is_file():
        return _read(kept)
    reads_images = features.reads_images or thumbnails

    def one(number: int) -> tuple[Any, np.ndarray | None]:
        image = read_image(gallery.images[number]) if reads_images else None
        labels = None if gallery.labels is None else gallery.labels[number]
        thumbnail = thumbnail_vector(image) if thumbnails and image is not None else None
        return features.prepare(image, labels), thumbnail

    described: list[Any] = []
    vectors: list[np.ndarray | None] = []
    with ThreadPoolExecutor(workers) as pool, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=len(gallery))
        for start in range(0, len(gallery), batch):
            numbers = range(start, min(start + batch, len(gallery)))
            prepared, small = zip(*pool.map(one, numbers), strict=True)
            described += features.describe(prepared)
            vectors += small
            bar.advance(task, len(numbers))
    arrays = features.gather(described)
    if thumbnails:
        arrays[THUMBNAILS] = np.stack([v for v in vectors if v is not None])
    if kept is not None:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_atomically(kept, buffer.getvalue())
    return arrays


def check_labels(gallery: Gallery, features: Features) -> None:
    """See that a gallery has the label maps that the features read.

    Raises:
        ConfigError: it has none.
    """
    if features.reads_labels and gallery.labels is None:
        raise ConfigError(
            f"--features {features.facts['features']} compares label maps, but none are named for "
            f"{gallery.folder}; give --labels (and --candidate-labels), or features of a network "
            f"such as timm:resnet50 with --weights"
        )


def _key(gallery: Gallery, features: Features, thumbnails: bool) -> str:
    files = [*gallery.images, *(gallery.labels or ())]
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    settings = [dict(features.facts), thumbnails, stats]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cached features {path} cannot be read ({error}); delete it") from error
