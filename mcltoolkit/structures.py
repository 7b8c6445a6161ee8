"""What flows through the toolkit: sample, batch, match, alignment and the bundle for losses.

Shape legend, used everywhere: B batch, C channels, H x W image, h x w correspondence grid,
N = h * w positions, K classes. Images are float32 in [-1, 1]; labels are int64 in [0, K).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from mcltoolkit.context import OneHot, cat_samples, dense_views, given
from mcltoolkit.errors import DataError


@dataclass
class Sample:
    """One training or test case.

    A label condition gives `labels` (H, W) and leaves `condition` None: the batch takes labels for
    one-hot maps on the device. Edges, poses and the like give `condition` (C, H, W).

    Attributes:
        name: name of the condition, unique in the data set.
        exemplar: (3, H, W), the image whose style is asked for.
        labels: (H, W), class of each pixel of the condition.
        condition: (C, H, W) float32, where the condition is not a label map.
        truth: (3, H, W), the image that belongs to the condition; None at plain inference.
        exemplar_labels, exemplar_condition: the same for the exemplar, where known.
        exemplar_name: where the exemplar came from.
        paired: the truth is the right answer for this exemplar, because the exemplar is the truth
            itself (cropped and flipped anew), another view of it, or made in its style.
        exemplar_positions: (2, H, W) float32, where the match is known: (x, y) in the exemplar of
            each condition pixel's centre, -1 and 1 being the exemplar's outer edges (the convention
            of `grid_sample(align_corners=False)`); NaN for a pixel that has no match there.
    """

    name: str
    exemplar: Tensor
    labels: Tensor | None = None
    condition: Tensor | None = None
    truth: Tensor | None = None
    exemplar_labels: Tensor | None = None
    exemplar_condition: Tensor | None = None
    exemplar_name: str = ""
    paired: bool = False
    exemplar_positions: Tensor | None = None


@dense_views("condition", "exemplar_condition")
@dataclass
class Batch:
    """Samples stacked along B; the fields are those of `Sample`.

    `condition` and `exemplar_condition` are None for label maps until `with_one_hot` fills them.
    From then on they read as dense maps, which are made when somebody reads them first;
    `given_condition` and `given_exemplar_condition` are the ids behind them.
    """

    names: list[str]
    exemplar: Tensor
    paired: Tensor
    labels: Tensor | None = None
    condition: Tensor | None = None
    truth: Tensor | None = None
    exemplar_labels: Tensor | None = None
    exemplar_condition: Tensor | None = None
    exemplar_names: list[str] = field(default_factory=list)
    exemplar_positions: Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def given_condition(self) -> Tensor | OneHot | None:
        """The condition as it was given: dense, or the ids of a label map."""
        found: Tensor | OneHot | None = given(self, "condition")
        return found

    @property
    def given_exemplar_condition(self) -> Tensor | OneHot | None:
        """The exemplar's condition likewise."""
        found: Tensor | OneHot | None = given(self, "exemplar_condition")
        return found

    def changed(self, **changes: Any) -> Batch:
        """A copy with other values in the fields named; ids of label maps stay ids in it, which
        `dataclasses.replace` reads as dense maps."""
        return Batch(**{**{f.name: given(self, f.name) for f in fields(self)}, **changes})

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """A copy with `function` applied to every tensor."""
        return self.changed(**_mapped(self, function))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """A copy on `device`."""
        return self.map_tensors(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """A copy in page-locked memory; torch's DataLoader calls this for `pin_memory=True`."""
        return self.map_tensors(lambda t: t.pin_memory())

    def check(self, channels: int) -> None:
        """Check conditions against the model; call it before the batch leaves the CPU, since
        reading label values from an accelerator would stall it.

        Raises:
            DataError: labels outside 0..`channels` - 1, or a dense map with other channels.
        """
        _check_condition(self.given_condition, self.labels, channels, self.names)
        _check_condition(
            self.given_exemplar_condition, self.exemplar_labels, channels, self.exemplar_names
        )

    def with_one_hot(self, channels: int) -> Batch:
        """A copy whose conditions are (B, `channels`, H, W) float maps; those of labels are held as
        ids until somebody reads them.

        Raises:
            DataError: neither labels nor a dense condition is given.
        """
        condition = _one_hot(self.given_condition, self.labels, channels)
        if condition is None:
            raise DataError(f"condition of {self.names}: neither labels nor a dense map is given")
        theirs = _one_hot(self.given_exemplar_condition, self.exemplar_labels, channels)
        return self.changed(condition=condition, exemplar_condition=theirs)

    def as_paired(self) -> Batch:
        """A copy in which each truth is its own exemplar (used to probe conditional losses)."""
        if self.truth is None:
            raise DataError("a batch without ground truth cannot be paired")
        return self.changed(
            exemplar=self.truth,
            exemplar_labels=self.labels,
            exemplar_condition=self.given_condition,
            exemplar_names=list(self.names),
            exemplar_positions=None,  # those of the exemplars that were
            paired=torch.ones_like(self.paired),
        )


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a `Batch`; a field is None where it is None in every sample.

    Raises:
        DataError: sizes differ, or only some of the samples have a field; the message names both.
    """

    def stack(key: str) -> Tensor | None:
        values = [getattr(s, key) for s in samples]
        if all(v is None for v in values):
            return None
        missing = [s.name for s, v in zip(samples, values, strict=True) if v is None]
        if missing:
            raise DataError(
                f"field '{key}' is missing in {missing} but present in other samples of the batch; "
                f"give it to all samples or to none"
            )
        shapes = {tuple(v.shape) for v in values}
        if len(shapes) > 1:
            listed = ", ".join(
                f"{s.name}: {tuple(v.shape)}" for s, v in zip(samples, values, strict=True)
            )
            raise DataError(
                f"samples of one batch differ in the size of '{key}' ({listed}); "
                f"let the data set's geometry end in one fixed size, or use batch_size=1"
            )
        return torch.stack(values)

    exemplar = stack("exemplar")
    if exemplar is None:
        raise DataError(f"no sample of {[s.name for s in samples]} has an exemplar")
    return Batch(
        names=[s.name for s in samples],
        exemplar=exemplar,
        paired=torch.tensor([s.paired for s in samples]),
        labels=stack("labels"),
        condition=stack("condition"),
        truth=stack("truth"),
        exemplar_labels=stack("exemplar_labels"),
        exemplar_condition=stack("exemplar_condition"),
        exemplar_names=[s.exemplar_name for s in samples],
        exemplar_positions=stack("exemplar_positions"),
    )


@dense_views("condition")
@dataclass
class ExemplarSide:
    """What a translation reads of exemplars, whatever the conditions: made once, used for many.

    Attributes:
        image: (B, 3, H, W) in [-1, 1].
        labels: (B, H, W), where they are known.
        condition: (B, C, H, W), dense, where it is known; see `Batch`.
        descriptors: (B, D, h, w), what the correspondence matches; None in a model without
            encoders.
        prepared: (B, ...), what the correspondence's own `prepare_exemplar` made of them, if it
            has one.
    """

    image: Tensor
    labels: Tensor | None = None
    condition: Tensor | None = None
    descriptors: Tensor | None = None
    prepared: Tensor | None = None

    @property
    def given_condition(self) -> Tensor | OneHot | None:
        """The condition as it was given: dense, or the ids of a label map."""
        found: Tensor | OneHot | None = given(self, "condition")
        return found

    def expand(self, count: int) -> ExemplarSide:
        """One exemplar (B = 1) for `count` conditions; nothing is copied."""
        fields_of = _mapped(self, lambda values: values[0].expand(count, *values.shape[1:]))
        return ExemplarSide(**fields_of)

    @staticmethod
    def stack(sides: Sequence[ExemplarSide]) -> ExemplarSide:
        """Several exemplars of one size as one batch.

        Raises:
            DataError: only some of them have a condition.
        """
        first = sides[0]
        if all(side is first for side in sides):
            return first if len(sides) == 1 else first.expand(len(sides))
        joined: dict[str, Any] = {}
        for name in (f.name for f in fields(first)):
            values = [given(side, name) for side in sides]
            if any(v is None for v in values) and not all(v is None for v in values):
                raise DataError(
                    f"some exemplars of one batch have '{name}' and some have none; give it for "
                    f"all of them, or for none"
                )
            joined[name] = None if values[0] is None else cat_samples(values)
        return ExemplarSide(**joined)


class Match(Protocol):
    """A dense match between the condition's N positions and the exemplar's M positions.

    Implementations decide how to hold it; nobody outside needs the N x M matrix. Methods that are
    used where a match has them: `release`, `warp_cycle` and `heaviest`, as those of
    `correspondence.CosineMatch`.
    """

    grid: tuple[int, int]
    exemplar_grid: tuple[int, int]

    def warp(self, values: Tensor) -> Tensor:
        """Exemplar values (B, C, M) seen from the condition: (B, C, N)."""
        ...

    def warp_back(self, values: Tensor) -> Tensor:
        """Condition values (B, C, N) seen from the exemplar: (B, C, M)."""
        ...

    def probabilities(self, rows: Tensor | None = None) -> Tensor:
        """(B, R, M): for the condition positions `rows` (R,), default all, the weight of each
        exemplar position; each row sums to 1."""
        ...


@dataclass
class Alignment:
    """What a correspondence module returns.

    Attributes:
        match: the dense match.
        warped: (B, 3, H, W), the exemplar in the condition's layout.
        warped_labels: (B, K, h, w), the exemplar's condition channels warped, if asked for.
        cycle: the exemplar warped there and back, if asked for; (B, 3, h, w), or full size for
            patch warp.
        cycle_target: what `cycle` should equal, same shape.
        guidance: (B, G, H, W), what the generator is given in place of `warped` by a module that
            has more to tell, such as the warps of several levels; G is its `guidance_channels`.
        extras: further outputs by name, for losses that know this module; see `Translation.need`.
    """

    match: Match
    warped: Tensor
    warped_labels: Tensor | None = None
    cycle: Tensor | None = None
    cycle_target: Tensor | None = None
    guidance: Tensor | None = None
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass
class Painting:
    """What a generator returns that has more to tell than its image.

    Attributes:
        image: (B, 3, H, W) in [-1, 1].
        extras: further outputs by name, for losses that know this generator.
    """

    image: Tensor
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass
class DiscriminatorPass:
    """Layer outputs of a multi-scale discriminator for one image batch.

    Attributes:
        scales: for each scale the outputs of its layers in order; the last one is the score map.
    """

    scales: list[list[Tensor]]

    @property
    def scores(self) -> list[Tensor]:
        """The score map of each scale, (B, 1, h_s, w_s)."""
        return [layers[-1] for layers in self.scales]


class ImageFeatures:
    """Features of a fixed network (VGG-19), computed at most once an image and shared.

    Args:
        extractor: image (B, 3, H, W) -> {layer name: (B, C, h, w)}.
        images: by role (`fake`, `truth`, `exemplar`).
        with_grad: the roles whose features carry gradient; the others are computed without.
    """

    def __init__(
        self,
        extractor: Callable[[Tensor], dict[str, Tensor]],
        images: dict[str, Tensor],
        with_grad: frozenset[str] = frozenset({"fake"}),
    ) -> None:
        self._extractor = extractor
        self._images = images
        self._with_grad = with_grad
        self._cache: dict[str, dict[str, Tensor]] = {}

    def of(self, role: str) -> dict[str, Tensor]:
        """Features of the image in that role.

        Raises:
            KeyError: no image has that role.
        """
        if role not in self._cache:
            keep = torch.is_grad_enabled() and role in self._with_grad
            with torch.set_grad_enabled(keep):
                self._cache[role] = self._extractor(self._images[role])
        return self._cache[role]


@dataclass
class Translation:
    """Everything one forward pass made: the typed bundle that every loss reads.

    The `*_features` are encoder outputs of unit length over channels; the `*_descriptors` are
    what the correspondence matches: the same maps, with the self-correlation descriptor joined
    where one is configured.

    Attributes:
        batch: the input, with one-hot conditions.
        alignment: match and warped exemplar.
        fake: (B, 3, H, W) in [-1, 1], the output image.
        condition_features, exemplar_features, truth_features: (B, C, h, w); None in a model
            without encoders, and `truth_features` where no loss asks for it.
        condition_descriptors, exemplar_descriptors, truth_descriptors: (B, D, h, w), None likewise.
        image_features: shared VGG-19 features, where a loss asks for them.
        fake_pass, real_pass: discriminator outputs, where a loss asks for them; no gradient
            reaches the discriminator, and `real_pass` is detached.
        progress: share of the training that is done, in [0, 1].
        extras: what correspondence and generator made for losses of their own, by name.
    """

    batch: Batch
    alignment: Alignment
    fake: Tensor
    condition_features: Tensor | None = None
    exemplar_features: Tensor | None = None
    condition_descriptors: Tensor | None = None
    exemplar_descriptors: Tensor | None = None
    truth_features: Tensor | None = None
    truth_descriptors: Tensor | None = None
    image_features: ImageFeatures | None = None
    fake_pass: DiscriminatorPass | None = None
    real_pass: DiscriminatorPass | None = None
    progress: float = 0.0
    extras: dict[str, Any] = field(default_factory=dict)

    def need(self, name: str) -> Any:
        """The field `name`, or the entry of `extras` with that name, which must be there.

        Raises:
            AttributeError: the forward pass did not make it (a loss forgot to list it in
                `requires`).
        """
        value = self.extras.get(name) if name in self.extras else getattr(self, name, None)
        if value is None:
            raise AttributeError(
                f"the forward pass did not make '{name}'; list it in the loss's `requires`"
            )
        return value


@dense_views("condition")
@dataclass
class Prediction:
    """One sample's part of a translation in evaluation: what metrics and pictures read.

    Attributes:
        fake, warped, exemplar: (3, H, W) in [-1, 1].
        truth: (3, H, W); the right answer only where `paired`.
        condition: (C, H, W), dense; may be given as `OneHot`, see `Batch`.
        labels, exemplar_labels: (H, W), for label conditions.
        warped_labels: (K, h, w), the exemplar's labels seen from the condition, as weights.
        match, index: the batch's match and this sample's place in it.
        exemplar_positions: (2, H, W), the true match where known; see `Sample`.
    """

    name: str
    fake: Tensor
    warped: Tensor
    exemplar: Tensor
    condition: Tensor
    match: Match
    index: int
    truth: Tensor | None = None
    labels: Tensor | None = None
    exemplar_labels: Tensor | None = None
    warped_labels: Tensor | None = None
    exemplar_name: str = ""
    paired: bool = False
    exemplar_positions: Tensor | None = None


def _one_hot(
    held: Tensor | OneHot | None, labels: Tensor | None, channels: int
) -> Tensor | OneHot | None:
    return OneHot(labels, channels) if held is None and labels is not None else held


def _mapped(owner: Any, function: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """`function` of each field of a dataclass that holds a tensor or ids."""
    held = {f.name: given(owner, f.name) for f in fields(owner)}
    return {
        name: value.map(function) if isinstance(value, OneHot) else function(value)
        for name, value in held.items()
        if isinstance(value, Tensor | OneHot)
    }


def _check_condition(
    dense: Tensor | OneHot | None, labels: Tensor | None, channels: int, names: list[str]
) -> None:
    if dense is not None and dense.shape[1] != channels:
        raise DataError(
            f"condition of {names}: {dense.shape[1]} channels found, the model takes {channels}; "
            f"set model.condition_channels, or fix the data"
        )
    if labels is not None and labels.numel():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= channels:
            raise DataError(
                f"condition of {names}: label values {low}..{high} found, allowed are "
                f"0..{channels - 1}; set model.condition_channels to the number of classes"
            )
