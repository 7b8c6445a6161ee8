"""One batch ahead; tests/engine/test_resume.py has whole trainings with and without."""

import pytest
import torch

from mcltoolkit.engine.prefetch import Prefetcher, wants_prefetch
from mcltoolkit.errors import ConfigError, DataError
from mcltoolkit.models.exemplar_gan import BatchPreprocessor


@pytest.fixture
def batches(scenes):
    return [scenes(names=[f"{k}a", f"{k}b"]) for k in range(3)]


def test_batches_come_in_order_and_are_prepared_once(batches, monkeypatch):
    preprocessor = BatchPreprocessor(6)
    prepared = []
    check = type(batches[0]).check
    monkeypatch.setattr(
        type(batches[0]), "check", lambda self, c: prepared.append(self.names) or check(self, c)
    )
    found = []
    for batch, place in Prefetcher(iter(zip(batches, "abc", strict=True)), preprocessor):
        ahead = min(len(found) + 2, 3)
        assert len(prepared) == ahead, "this one and the next"
        ready = preprocessor(batch, True)
        assert len(prepared) == ahead
        assert torch.equal(ready.condition, batch.with_one_hot(6).condition)
        assert len(preprocessor.ahead) <= 1
        found.append((batch.names[0], place))
    assert found == [("0a", "a"), ("1a", "b"), ("2a", "c")]
    assert preprocessor.ahead == []
    assert preprocessor(batches[0]).names == batches[0].names, "others are prepared as ever"


def test_errors_wait_for_their_turn(batches):
    def broken():
        yield batches[0], 0
        raise DataError("the second file")

    pairs = Prefetcher(broken(), BatchPreprocessor(6))
    assert next(pairs)[1] == 0
    with pytest.raises(DataError, match="the second file"):
        next(pairs)
    batches[1].labels[0, 0, 0] = 6
    preprocessor = BatchPreprocessor(6)
    pairs = Prefetcher(iter([(batches[0], 0), (batches[1], 1)]), preprocessor)
    preprocessor(next(pairs)[0], True)
    wrong, _ = next(pairs)
    with pytest.raises(DataError, match=r"label values 0\.\.6 found"):
        preprocessor(wrong, True)


def test_what_the_setting_means():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [wants_prefetch(s, d) for d in (cpu, cuda) for s in (None, True, False)] == [
        False, True, False, True, True, False
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"train_cfg.prefetch is 'yes'; allowed are True, False"):
        wants_prefetch("yes", cpu)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_copies_of_a_side_stream_are_whole_when_they_are_read(scenes):
    preprocessor = BatchPreprocessor(6).cuda()
    batches = [scenes(8, size=(256, 256)).pin_memory() for _ in range(4)]
    for batch, _ in Prefetcher(iter((b, None) for b in batches), preprocessor):
        ready = preprocessor(batch, True)
        assert torch.equal(ready.truth.cpu(), batch.truth)
        assert torch.equal(ready.exemplar.cpu(), batch.exemplar)
