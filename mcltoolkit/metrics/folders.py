"""Metrics of image files: outputs in one folder, what they are compared with in others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mcltoolkit.errors import ConfigError
from mcltoolkit.metrics.choice import KEYS, NEEDS, PAIRED, SETS
from mcltoolkit.metrics.image_folder import (
    ImageFolder,
    check_one_size,
    check_partners,
    open_folder,
    read,
    read_label_map,
)
from mcltoolkit.metrics.measured import size_of
from mcltoolkit.metrics.results import Result, results_of
from mcltoolkit.metrics.set_metric import SetMetric
from mcltoolkit.registry import METRICS
from mcltoolkit.structures import Prediction

Advance = Callable[[], None]


@dataclass
class FilePrediction(Prediction):
    """An output that was read from a file, with its partners.

    Attributes:
        file_format: of the file, and of what it is compared with.
        group: what the outputs of one condition share.
    """

    file_format: str = ""
    group: str = ""


@dataclass(frozen=True)
class Folders:
    """What is to be measured.

    Attributes:
        outputs, reference: images; the reference's are the truths of the paired metrics.
        exemplars, labels: partners of the outputs, where metrics need them.
        resize: (H, W) to which all are resized; None compares them as they are.
        device: where networks run.
    """

    outputs: ImageFolder
    reference: ImageFolder
    exemplars: ImageFolder | None = None
    labels: ImageFolder | None = None
    resize: tuple[int, int] | None = None
    device: str = "cpu"

    @classmethod
    def open(
        cls,
        outputs: str | Path,
        reference: str | Path,
        exemplars: str | Path | None = None,
        labels: str | Path | None = None,
        **options: Any,
    ) -> Folders:
        """Open the folders.

        Raises:
            DataError: one is missing or has no images.
        """
        return cls(
            open_folder(outputs, "outputs"),
            open_folder(reference, "reference images"),
            open_folder(exemplars, "exemplars") if exemplars else None,
            open_folder(labels, "label maps") if labels else None,
            **options,
        )

    @property
    def file_format(self) -> str:
        """What the passport tells of the files."""
        ours, theirs = self.outputs.formats, self.reference.formats
        return ours if ours == theirs else f"{ours} against {theirs}"

    @property
    def warning(self) -> str | None:
        """Why the numbers may be off, if the two folders' formats differ."""
        ours, theirs = self.outputs.formats, self.reference.formats
        if ours == theirs and "," not in ours:
            return None
        return (
            f"the outputs are {ours} and the reference images {theirs}: the losses of a file "
            f"format alone move FID by points; save both in one format, best as png"
        )

    def facts(self) -> dict[str, str]:
        """What the passports tell beside the metrics' own fields."""
        told = {"file_format": self.file_format}
        if self.resize:
            told["input_resize"] = f"{size_of(self.resize)}, bicubic (Pillow)"
        return told


def evaluate_folders(
    folders: Folders,
    names: Sequence[str],
    settings: Mapping[str, Mapping[str, Any]],
    advance: Advance = lambda: None,
) -> dict[str, Result]:
    """Measure.

    Args:
        folders: what.
        names: of metrics, see `metrics.choice`.
        settings: config of each metric by name, see `choice.settings_of`.
        advance: called once for each image of the outputs, and of the reference for set metrics;
            see `steps`.

    Raises:
        ConfigError: a metric needs a folder that is not given, or an unknown name.
        DataError: partners are missing, sizes differ, or a file cannot be read.
        WeightsError: a network's weights are missing.
    """
    _check(folders, names)
    configs = {settings[name]["type"]: settings[name] for name in names}
    metrics = [METRICS.build(dict(config)) for config in configs.values()]
    sets = [metric for metric in metrics if isinstance(metric, SetMetric)]
    pairs = [metric for metric in metrics if not isinstance(metric, SetMetric)]
    for metric in sets:
        metric.check_sets(len(folders.outputs.files), len(folders.reference.files))
    values: dict[str, float] = {}
    described: dict[int, list[Any]] = {id(metric): [] for metric in sets}
    paired = any(name in PAIRED for name in names)
    size: tuple[int, int] | None = None
    for name, path in folders.outputs.files.items():
        sample = _sample(folders, name, path, names, paired)
        if sets:
            check_one_size([(str(path), sample.fake)], size)
            size = (int(sample.fake.shape[1]), int(sample.fake.shape[2]))
        for metric in pairs:
            metric.process(None, [sample])
        for metric in sets:
            described[id(metric)] += metric.describe([sample], "fake")
        advance()
    if sets:
        _compare_sets(folders, sets, described, size, values, advance)
    for metric in pairs:
        values.update(metric.evaluate(len(folders.outputs.files)))
    results = results_of(metrics, values)
    wanted = {key for name in names for key in KEYS.get(name, ())}
    return {
        name: Result(result.value, {**result.passport, **folders.facts(), **_data(folders)})
        for name, result in results.items()
        if name in wanted or name.split("@")[0] in wanted
    }


def steps(folders: Folders, names: Sequence[str]) -> int:
    """How often `evaluate_folders` calls `advance`."""
    more = len(folders.reference.files) if any(name in SETS for name in names) else 0
    return len(folders.outputs.files) + more


def _compare_sets(
    folders: Folders,
    sets: Sequence[SetMetric],
    described: dict[int, list[Any]],
    size: tuple[int, int] | None,
    values: dict[str, float],
    advance: Advance,
) -> None:
    theirs: dict[int, list[Any]] = {id(metric): [] for metric in sets}
    for name, path in folders.reference.files.items():
        image = read(path, folders.resize).to(folders.device)
        check_one_size([(str(path), image)], size)
        sample = _prediction(name, image, folders.file_format)
        for metric in sets:
            theirs[id(metric)] += metric.describe([sample], "fake")
        advance()
    told = {"reference_samples": str(len(folders.reference.files))}
    if size is not None:
        told["image_size"] = size_of(size)
    for metric in sets:
        values.update(metric.compare_sets(described[id(metric)], theirs[id(metric)], told))
        metric.release()


def _sample(
    folders: Folders, name: str, path: Path, names: Sequence[str], paired: bool
) -> FilePrediction:
    fake = read(path, folders.resize).to(folders.device)
    sample = _prediction(name, fake, folders.file_format)
    partners: list[tuple[str, Tensor]] = []

    def partner(folder: ImageFolder, load: Callable[..., Tensor]) -> Tensor:
        file = folder.partner(name)
        values = load(file, folders.resize).to(folders.device)
        partners.append((str(file), values))
        return values

    if paired:
        sample.truth, sample.paired = partner(folders.reference, read), True
    if folders.exemplars and "style" in names:
        sample.exemplar = partner(folders.exemplars, read)
    if folders.labels and "semantic" in names:
        sample.labels = partner(folders.labels, read_label_map)
    check_one_size(partners, (int(fake.shape[1]), int(fake.shape[2])))
    return sample


def _prediction(name: str, fake: Tensor, file_format: str) -> FilePrediction:
    absent: Any = None
    return FilePrediction(
        name=name,
        fake=fake,
        warped=absent,
        exemplar=absent,
        condition=absent,
        match=absent,
        index=0,
        file_format=file_format,
        group=name.rpartition("/")[0] or name,
    )


def _check(folders: Folders, names: Sequence[str]) -> None:
    if any(name in PAIRED for name in names):
        check_partners(folders.outputs, folders.reference, "the truths", both=True)
    for name in names:
        for need in NEEDS.get(name, ()):
            folder = getattr(folders, need)
            if folder is None:
                raise ConfigError(
                    f"the metric {name} needs the outputs' {need}; give their folder with "
                    f"--{need}, or leave {name} out of --metrics"
                )
            check_partners(folders.outputs, folder, need)
    if folders.labels and "semantic" in names:
        check_partners(folders.outputs, folders.labels, "label maps")


def _data(folders: Folders) -> dict[str, str]:
    return {"data": f"{folders.outputs.root} against {folders.reference.root}"}


def default_device() -> str:
    """The accelerator, where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_device(device: str) -> str:
    """The device itself.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # assertions: torch without CUDA
        reason = str(error).strip().splitlines()[0]
        count = torch.cuda.device_count()
        allowed = f"cpu, and cuda:0 to cuda:{count - 1}" if count else "cpu, as no GPU is found"
        raise ConfigError(
            f"--device {device} cannot be used ({reason}); allowed here: {allowed}"
        ) from error
    return device
