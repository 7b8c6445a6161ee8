"""What all fuzz tests share: seeded spoiling of bytes and text, and the judgement of what happened.

MCLTOOLKIT_FUZZ_CASES multiplies the number of cases; MCLTOOLKIT_FUZZ_SEED starts elsewhere. A
failure names its case, `seed:number`, which MCLTOOLKIT_FUZZ_ONLY runs alone.
"""

import os
import random
import traceback
import warnings

import pytest

from mcltoolkit.errors import ToolkitError

TIMES = float(os.environ.get("MCLTOOLKIT_FUZZ_CASES", "1"))
SEED = int(os.environ.get("MCLTOOLKIT_FUZZ_SEED", "0"))
ONLY = os.environ.get("MCLTOOLKIT_FUZZ_ONLY")


def numbered(count, name):
    """Pairs of a case's name and its random generator."""
    for number in range(int(count * TIMES)):
        case = f"{SEED}:{number}"
        if ONLY in (None, case):
            yield case, random.Random(f"{name} {case}")


class Judge:
    """Runs cases: they may work, or raise the toolkit's own error with a message that names what
    it is about; anything else is a failure."""

    def __init__(self):
        self.worked, self.refused, self.crashes = 0, 0, []

    def __call__(self, case, run, *names):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run()
        except ToolkitError as error:
            self.refused += 1
            if names and not any(str(name) in str(error) for name in names):
                self.crashes.append(f"{case}: none of {names} is named in: {error}")
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [f for f in frames if "mcltoolkit" in f.filename] or frames
            place = " < ".join(f"{f.filename}:{f.lineno}" for f in (frames[-1], ours[-1]))
            self.crashes.append(f"{type(error).__name__}: {str(error)[:300]} at {place} [{case}]")
        else:
            self.worked += 1

    def done(self, at_least=1):
        kinds = {}
        for line in self.crashes:
            kinds.setdefault(line.rpartition(" at ")[2].rpartition(" [")[0], line)
        text = "\n".join(list(kinds.values())[:40])
        if self.crashes:
            pytest.fail(f"{len(self.crashes)} crashes, {len(kinds)} kinds:\n{text}", pytrace=False)
        if ONLY is None:
            assert self.refused >= at_least, (self.worked, self.refused)


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture
def cases():
    return numbered


def spoil_bytes(content, rng):
    """Cut, flipped, overwritten, doubled or foreign bytes."""
    content = bytearray(content)
    how = rng.randrange(8)
    if how == 0:
        return bytes(content[: rng.randrange(len(content) + 1)])
    if how == 1:
        return rng.randbytes(rng.choice((0, 1, 7, 200)))
    if how == 2:
        start = rng.randrange(len(content))
        content[start : start + rng.randrange(1, 40)] = rng.randbytes(rng.randrange(40))
    elif how == 3:
        return bytes(content) + rng.randbytes(rng.randrange(1, 99))
    else:  # the head decides most
        reach = len(content) if how > 5 else min(len(content), 64)
        for _ in range(rng.choice((1, 1, 2, 8))):
            content[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(content)


WORDS = (
    "", " ", "\n", "\r\n", "\t", ",", ",,,", "a.png", "a.jpg,b.jpg", "\\", "/", "..", "../../etc",
    "\x00", "\ufeff", "\u2028", "ä", "漢字", "\U0001f600", "\ud800", "-1", "nan", "inf", "1e999",
    "0", "12345678901234567890", "a" * 300, "NULL", "{", "}", "[", "*a", "&a", "!!python/object",
    ":", "- ", "#", "'", '"', "%s", "{split}", "{0}", "img/a.jpg", "train", "½", "٣",
)  # fmt: skip


def spoil_text(content, rng):
    """Words in and out, then perhaps as bytes; never valid by design."""
    parts = list(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(parts) + 1)
        how = rng.randrange(3)
        if how == 0:
            parts.insert(place, rng.choice(WORDS))
        elif how == 1:
            del parts[place : place + rng.randrange(1, 30)]
        else:
            parts[place : place + 1] = [rng.choice(WORDS)]
    encoded = "".join(parts).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        return spoil_bytes(encoded or b"x", rng)
    return encoded if rng.random() < 0.95 else "".join(parts).encode("utf-16", "surrogatepass")


@pytest.fixture
def spoiled_bytes():
    return spoil_bytes


@pytest.fixture
def spoiled_text():
    return spoil_text
