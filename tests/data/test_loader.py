"""Loaders as a training builds them, over data sets that fail in every way."""

import logging
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from mcltoolkit.data import Draw, SeededSampler
from mcltoolkit.engine.data_loader import build_loader
from mcltoolkit.errors import ConfigError, DataError, PluginError
from mcltoolkit.registry import DATASETS
from mcltoolkit.structures import Sample


class Faulty(Dataset):
    """Samples whose exemplar is the index; some of them fail."""

    def __init__(self, length=12, faults=None, files=True):
        self.length, self.faults = length, faults or {}
        if files:
            self.files = lambda index: [f"/data/{index}.png"]

    def __len__(self):
        return self.length

    def __getitem__(self, item):
        index = int(item.__index__())
        fault = self.faults.get(index)
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault is not None:
            raise fault
        noise = random.random(), float(np.random.rand()), float(torch.rand(()))
        picture = torch.full((3, 2, 2), float(index))
        picture[0, 0, :2] = torch.tensor(noise[:2])
        picture[1, 0, 0] = noise[2]
        return Sample(f"{index}", picture, labels=torch.zeros(2, 2, dtype=torch.int64))


def loader_of(dataset, on_error=None, workers=0, **settings):
    return build_loader(
        dict(
            dataset=dataset, batch_size=2, num_workers=workers, on_error=on_error,
            sampler=dict(type="SeededSampler"), **settings,
        ),
        seed=0,
    )  # fmt: skip


class Log(logging.Handler):
    """What reaches the log."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def log():
    from mmengine.logging import MMLogger

    handler = Log()
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


BROKEN = {3: DataError("image /data/3.png is truncated"), 8: OSError("lost")}


def epochs(loader, count=2):
    found = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        found += list(loader)
    return found


def test_stop_raises_the_toolkits_own_error_with_its_message_alone():
    for workers in (0, 2):
        with pytest.raises(DataError) as caught:
            epochs(loader_of(Faulty(faults={3: BROKEN[3]}), workers=workers))
        assert str(caught.value) == "image /data/3.png is truncated"
        assert "test_loader.py" in str(caught.value.__cause__)  # the worker's traceback is kept


@pytest.mark.parametrize("workers", [0, 2])
def test_other_errors_name_sample_file_and_data_set(workers):
    with pytest.raises(DataError, match=r"sample 8 of Faulty \(/data/8.png\).*OSError: lost") as e:
        epochs(loader_of(Faulty(faults={8: BROKEN[8]}), workers=workers))
    assert "test_loader.py" in str(e.value)


def test_an_error_of_another_kind_keeps_its_type():
    with pytest.raises(PluginError, match="^no plugin$"):
        epochs(loader_of(Faulty(faults={8: PluginError("no plugin")}), "skip", workers=1))


def test_skipping_replaces_alike_with_and_without_workers_and_names_all(log):
    batches = {}
    for workers in (0, 2):
        log.clear()
        loader = loader_of(Faulty(faults=BROKEN), "skip", workers)
        batches[workers] = epochs(loader)
        assert set(loader.skipped) == {3, 8}
        told = [line for line in log if " replaced by sample " in line]
        assert loader.replaced == len(told)
        assert loader.replaced >= 4  # two epochs, two files, and substitutes that fail
        for word in ("/data/3.png", "is truncated", "/data/8.png", "lost"):
            assert any(word in line for line in told), word
    assert [b.names for b in batches[0]] == [b.names for b in batches[2]]
    names = [name for b in batches[0] for name in b.names]
    assert len(names) == 24  # every rank keeps its number of steps
    assert not {"3", "8"} & set(names)
    for ours, theirs in zip(batches[0], batches[2], strict=True):
        assert torch.equal(ours.exemplar, theirs.exemplar)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_skips_ahead_gives_the_rest_bit_for_bit(workers):
    """Substitutes, and samples drawn from the process's generators, as a resumed training sees
    them."""
    whole = epochs(loader_of(Faulty(faults=BROKEN), "skip", workers), 1)
    torch.manual_seed(99)
    random.seed(99)
    resumed = loader_of(Faulty(faults=BROKEN), "skip", workers)
    resumed.sampler.skip(4)
    rest = list(resumed)
    assert [b.names for b in rest] == [b.names for b in whole[2:]]
    for ours, theirs in zip(rest, whole[2:], strict=True):
        assert torch.equal(ours.exemplar, theirs.exemplar)
    values = torch.cat([b.exemplar[:, 0, 0] for b in whole]).flatten()
    assert len(set(values.tolist())) == len(values)  # each sample has numbers of its own


@pytest.mark.parametrize("workers", [0, 1])
def test_the_main_process_draws_on_as_if_no_sample_had_been_read(workers):
    state = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    epochs(loader_of(Faulty(), workers=workers))
    assert random.getstate() == state[0]
    assert (np.random.get_state()[1] == state[1]).all()
    assert torch.equal(torch.get_rng_state(), state[2])


def test_too_many_files_stop_the_run_and_are_listed():
    loader = loader_of(Faulty(faults=BROKEN), dict(policy="skip", max_skipped=1))
    with pytest.raises(DataError, match=r"max_skipped allows 1:[\s\S]*/data/3.png") as caught:
        epochs(loader)
    assert "/data/8.png" in str(caught.value)


def test_the_same_file_every_epoch_counts_once():
    loader = loader_of(Faulty(faults={3: BROKEN[3]}), dict(policy="skip", max_skipped=1))
    assert len(epochs(loader, 3)) == 18
    assert loader.replaced == 3


def test_a_data_set_without_a_single_readable_sample_stops():
    loader = loader_of(Faulty(4, dict.fromkeys(range(4), BROKEN[3])), "skip")
    with pytest.raises(DataError, match="10 samples in a row"):
        next(iter(loader))
    with pytest.raises(DataError, match="truncated"):  # there is no other to take
        next(iter(loader_of(Faulty(1, {0: BROKEN[3]}), "skip")))


def test_settings_are_never_skipped():
    with pytest.raises(ConfigError, match="geometry"):
        epochs(loader_of(Faulty(faults={1: ConfigError("geometry is wrong")}), "skip", 1))


def test_samples_that_make_no_batch_say_what_they_are():
    class Words(Faulty):
        def __getitem__(self, item):
            return "word"

    with pytest.raises(DataError, match="samples of the type str cannot be made a batch"):
        next(iter(loader_of(Words())))


@pytest.mark.parametrize("persistent", [False, True])
def test_a_killed_worker_is_reported_with_the_file_it_was_reading(persistent):
    dataset = Faulty(faults={5: "kill"})
    loader = loader_of(dataset, workers=2, persistent_workers=persistent)
    with pytest.raises(DataError) as caught:
        epochs(loader)
    text = str(caught.value)
    assert "sample 5 of Faulty (/data/5.png)" in text
    assert "data worker (process" in text
    assert "num_workers" in text


def sleeps():
    time.sleep(60)


@pytest.mark.parametrize("dies", [True, False])
def test_a_worker_that_dies_while_it_hands_a_sample_over(dies):
    """What the main process gets then is an error of a connection or of a pipe."""
    loader = loader_of(Faulty(), workers=1)
    worker = multiprocessing.get_context("fork").Process(target=sleeps)
    worker.start()
    loader.guard.reading[0] = torch.tensor([worker.pid, 5])

    class Torn:
        _workers = (worker,)

        def __next__(self):
            if dies:
                os.kill(worker.pid, signal.SIGKILL)
            raise ConnectionResetError("reset by peer")

    if dies:
        with pytest.raises(DataError, match=r"code -9 while reading sample 5 of Faulty \(/data/5"):
            next(loader._unpack(Torn()))
    else:
        with pytest.raises(ConnectionResetError):
            next(loader._unpack(Torn()))
        worker.kill()
    worker.join()


def test_a_worker_killed_while_the_main_process_computes():
    """torch raises from its signal handler then, wherever the program is."""
    iterator = iter(loader_of(Faulty(40, {30: "kill"}), workers=1, prefetch_factor=20))

    def compute():
        next(iterator)
        for _ in range(100):
            # a handler runs between two lines of Python
            signal.sigtimedwait([signal.SIGUSR2], 0.1)

    with pytest.raises(DataError, match=r"sample 30 of Faulty \(/data/30.png\)"):
        compute()


def test_a_tool_ends_with_status_2_and_the_message(tmp_path, load_plugin):
    from mcltoolkit.engine.launch import run_tool

    def main():
        epochs(loader_of(Faulty(faults={5: "kill"}), workers=1))

    with pytest.raises(SystemExit) as caught:
        run_tool(main)
    assert caught.value.code == 2


def test_registered_data_sets_are_built_and_seen_through(load_plugin):
    loader = build_loader(
        dict(
            dataset=dict(type="SyntheticScenes", length=4, size=(16, 16)),
            batch_size=2,
            sampler=dict(type="SeededSampler", shuffle=False),
        )
    )
    assert loader.dataset.metainfo == DATASETS.build(dict(type="SyntheticScenes")).metainfo
    assert isinstance(loader.sampler, SeededSampler)
    assert torch.equal(loader.dataset[1].exemplar, loader.dataset[Draw(1, 3)].exemplar) is False
    assert len(loader.dataset) == 4
    assert [b.names for b in loader] == [["train_000000", "train_000001"],
                                         ["train_000002", "train_000003"]]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(dataset=None), "dataset of a data loader is NoneType"),
        (dict(dataset=dict(type="Scenes")), "SyntheticScenes"),
        (dict(num_workers=-1), "num_workers of a data loader is -1"),
        (dict(num_workers="two"), "num_workers of a data loader is 'two'"),
    ],
)
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_loader({"dataset": Faulty(), "batch_size": 2,
                      "sampler": dict(type="SeededSampler"), **settings})  # fmt: skip


class Slow(Faulty):
    def __getitem__(self, item):
        if int(item.__index__()) == 5:
            time.sleep(2)
        return super().__getitem__(item)


def test_a_file_that_takes_too_long_is_named():
    with pytest.raises(
        DataError, match=r"timed out after 1 seconds while reading sample 5 of Slow"
    ):
        epochs(loader_of(Slow(), workers=1, timeout=1))
