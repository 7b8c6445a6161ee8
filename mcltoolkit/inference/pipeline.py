"""From requests to results: read, encode, align, mix, paint.

Requests are taken one by one, so that any number of them passes through in bounded memory.
Consecutive requests of one size and as many exemplars go through the networks together, up to a
batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from mcltoolkit.context import as_dense, sample_of
from mcltoolkit.errors import DataError, ToolkitError
from mcltoolkit.inference.exemplars import Exemplar, Pair, encode, read_pair
from mcltoolkit.inference.inputs import Source, condition_fields, read_condition
from mcltoolkit.inference.mixing import mix, region_weights, side_by_side
from mcltoolkit.inference.model import TranslationModel
from mcltoolkit.inference.result import TranslationResult
from mcltoolkit.inference.sizes import Size, choose_size, padded_size
from mcltoolkit.inference.steady import Steadier
from mcltoolkit.structures import Alignment, Batch, ExemplarSide, Prediction

Wanted = Size | str | None
_READ_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Request:
    """One translation that is asked for.

    Attributes:
        condition: what is to be painted.
        shares: exemplars, each with its share; the shares sum to 1.
        regions: exemplars of classes of their own, by class; the others get those of `shares`.
        name: of the result.
    """

    condition: Source
    shares: tuple[tuple[Exemplar, float], ...]
    regions: Mapping[int, Exemplar] = field(default_factory=dict)
    name: str = "condition"


@dataclass
class _Ready:
    """A request, read and with its exemplars encoded. `weights` are (1, 1, H, W) each, and None
    where there is one exemplar."""

    request: Request
    batch: Batch
    sides: list[ExemplarSide]
    weights: list[torch.Tensor] | None
    names: list[str]
    size: Size
    own_size: Size
    why: str

    @property
    def form(self) -> tuple[object, ...]:
        """Requests of one form go through the networks together."""
        lacks = [(side.given_condition is None, side.labels is None) for side in self.sides]
        return self.batch.exemplar.shape, self.batch.labels is None, self.weights is None, lacks


def run(
    requests: Iterable[Request],
    model: TranslationModel,
    *,
    size: Wanted = None,
    batch_size: int = 1,
    say: Callable[[str], object] | None = None,
    steadier: Steadier | None = None,
    failed: Callable[[Request, ToolkitError], object] | None = None,
) -> Iterator[TranslationResult]:
    """The results, in the order of the requests.

    Args:
        requests: as they come.
        model: from `load_model`.
        size: see `choose_size`.
        batch_size: how many go through the networks together, at most.
        say: called with one line that tells at which size a translation runs, and why, whenever
            that changes.
        steadier: for the frames of a video, see `mcltoolkit.inference.steady`.
        failed: called with a request whose files or arrays cannot be used, or whose size the
            networks cannot take, which is left out then; without it the error is raised.

    Raises:
        DataError: an input that the model cannot take.
        ConfigError: a size that the networks cannot take, a missing exemplar condition, or frames
            of several sizes for a steadier.
    """
    reader = _Reader(model, size)
    waiting: list[_Ready] = []
    said = ""
    for request in requests:
        try:
            ready = reader(request)
        except DataError as error:
            if failed is None:
                raise
            failed(request, error)
            continue
        if steadier is not None:
            steadier.check_size(ready.size)
        line = f"translated at {ready.size[0]}x{ready.size[1]}: {ready.why}"
        if say is not None and line != said:
            say(line)
            said = line
        if waiting and (len(waiting) >= batch_size or ready.form != waiting[0].form):
            yield from _each(waiting, model, steadier, failed)
            waiting = []
        waiting.append(ready)
        if len(waiting) >= batch_size:
            yield from _each(waiting, model, steadier, failed)
            waiting = []
    if waiting:
        yield from _each(waiting, model, steadier, failed)


def _each(
    waiting: list[_Ready],
    model: TranslationModel,
    steadier: Steadier | None,
    failed: Callable[[Request, ToolkitError], object] | None,
) -> list[TranslationResult]:
    """Those of them that can be translated."""
    try:
        return _translate(waiting, model, steadier)
    except ToolkitError as error:
        if failed is None:
            raise
        if len(waiting) == 1:
            failed(waiting[0].request, error)
            return []
    return [result for one in waiting for result in _each([one], model, steadier, failed)]


class _Reader:
    """Makes requests ready; an exemplar object that comes again is not read again."""

    def __init__(self, model: TranslationModel, size: Wanted) -> None:
        self.model = model
        self.size = size
        self._pairs: dict[int, tuple[Exemplar, Pair]] = {}

    def __call__(self, request: Request) -> _Ready:
        model = self.model
        layout = read_condition(request.condition, model.form)
        size, why = choose_size(self.size, layout, model.settings["size"])
        padded = padded_size(size, model.stride)
        fields = condition_fields(layout, size, padded)
        image = torch.empty(1, 3, *padded)  # the exemplars come encoded
        batch = Batch([request.name], image, torch.tensor([False]), **fields)
        batch.check(model.channels)
        exemplars, weights = _weighed(request, batch)
        sides = [encode(self._pair(e), model, size, padded) for e in exemplars]
        return _Ready(
            request,
            batch,
            sides,
            weights,
            [exemplar.name for exemplar in exemplars],
            size,
            (layout.shape[-2], layout.shape[-1]),
            why,
        )

    def _pair(self, exemplar: Exemplar) -> Pair:
        if id(exemplar) not in self._pairs:
            pair = read_pair(exemplar, self.model)
            if len(self._pairs) >= _READ_AT_ONCE:
                self._pairs.clear()
            self._pairs[id(exemplar)] = exemplar, pair  # held, so that its id is not given again
        return self._pairs[id(exemplar)][1]


def _weighed(request: Request, batch: Batch) -> tuple[list[Exemplar], list[torch.Tensor] | None]:
    """The exemplars that count anywhere, with their weights by pixel where there are several."""
    given = [(e, share) for e, share in request.shares if share]
    exemplars = [e for e, _ in given]
    if not request.regions:
        if len(given) == 1:
            return exemplars, None
        one = torch.ones(1, 1, *batch.exemplar.shape[2:])
        return exemplars, [share * one for _, share in given]
    if batch.labels is None:
        raise DataError(
            f"{request.name} is given as maps, and exemplars are chosen for regions of label maps; "
            f"give one class number a pixel, or leave regions (--region) out"
        )
    rest, masks = region_weights(batch.labels, list(request.regions), [share for _, share in given])
    exemplars += request.regions.values()
    counting: dict[int, tuple[Exemplar, torch.Tensor]] = {}
    for exemplar, weight in zip(exemplars, rest + masks, strict=True):
        if weight.any():  # one exemplar of several classes counts once
            _, before = counting.get(id(exemplar), (exemplar, torch.zeros(())))
            counting[id(exemplar)] = exemplar, before + weight
    exemplars = [e for e, _ in counting.values()]
    return exemplars, None if len(exemplars) == 1 else [w for _, w in counting.values()]


@torch.no_grad()
def _translate(
    waiting: list[_Ready], model: TranslationModel, steadier: Steadier | None
) -> list[TranslationResult]:
    batch = _joined([ready.batch for ready in waiting]).to(model.device)
    batch = batch.with_one_hot(model.channels)
    condition = batch.given_condition
    assert condition is not None
    translator = model.translator
    descriptors = translator.encode_condition(condition)
    columns = zip(*(ready.sides for ready in waiting), strict=True)
    sides = [ExemplarSide.stack(same) for same in columns]
    alignments = [translator.align(batch, descriptors, side) for side in sides]
    alignment, side = alignments[0], sides[0]
    if waiting[0].weights is not None:
        weights = [
            torch.cat(same).to(model.device)
            for same in zip(*(r.weights or () for r in waiting), strict=True)
        ]
        alignment, side = mix(alignments, weights), side_by_side(sides)
    if steadier is not None:
        alignment = steadier(alignment, as_dense(condition))
    painting = translator.paint(alignment, condition)
    return [
        TranslationResult(
            _prediction(i, ready, batch, side, alignment, painting.image),
            ready.size,
            ready.own_size,
            ready.why,
        )
        for i, ready in enumerate(waiting)
    ]


def _prediction(
    i: int,
    ready: _Ready,
    batch: Batch,
    side: ExemplarSide,
    alignment: Alignment,
    fake: torch.Tensor,
) -> Prediction:
    condition = batch.given_condition
    assert condition is not None
    return Prediction(
        name=ready.request.name,
        fake=fake[i].float(),
        warped=alignment.warped[i].float(),
        exemplar=side.image[i],
        condition=sample_of(condition, i),  # type: ignore[arg-type]
        match=alignment.match,
        index=i,
        labels=None if batch.labels is None else batch.labels[i],
        exemplar_labels=None if side.labels is None else side.labels[i],
        exemplar_name=" | ".join(ready.names),
    )


def _joined(batches: list[Batch]) -> Batch:
    first = batches[0]
    if len(batches) == 1:
        return first
    return Batch(
        names=[name for batch in batches for name in batch.names],
        exemplar=torch.cat([batch.exemplar for batch in batches]),
        paired=torch.cat([batch.paired for batch in batches]),
        labels=None if first.labels is None else torch.cat([b.labels for b in batches]),  # type: ignore[misc]
        condition=(
            None if first.condition is None else torch.cat([b.condition for b in batches])  # type: ignore[misc]
        ),
    )
