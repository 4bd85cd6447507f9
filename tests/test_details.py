"""A long evaluation says how far it is, and can be stopped between two batches."""

import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import details
from seqgen.datasets import Dataset
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.run import Found

TOTAL = 4
DATASET = Dataset({}, "", {}, {"test": TOTAL}, lambda *_: {})


class Clock:
    """Each batch takes so many seconds, the first one, which compiles, longer."""

    def __init__(self, monkeypatch, first, other):
        self.now, self._first, self._other = 0.0, first, other
        monkeypatch.setattr(details.time, "monotonic", lambda: self.now)

    def predict(self, params, arrays, index, shape):
        self.now += self._other if index else self._first
        return {"weight_B": jnp.asarray([1.0, 0.0]), "number": jnp.full(2, index)}


def pieces(clock, interrupt, show):
    found = Found(1, {}, {}, "")
    return details.every(clock.predict, found, DATASET, "test", {}, interrupt, show)


def test_what_is_left_is_told_by_the_batches_after_the_first(monkeypatch):
    lines = []
    clock = Clock(monkeypatch, first=100.0, other=30.0)
    made = list(pieces(clock, Interrupt(), lines.append))
    assert lines == [
        "test batch 2/4  1 min 00 s left",
        "test batch 3/4  30 s left",
        "test batch 4/4  0 s left",
    ]
    np.testing.assert_array_equal([piece["number"] for piece in made], np.arange(TOTAL)[:, None])


def test_what_is_short_needs_no_line(monkeypatch):
    lines = []
    list(pieces(Clock(monkeypatch, 0.1, 0.1), Interrupt(), lines.append))
    assert lines == []


def test_a_signal_stops_it_at_the_next_batch(monkeypatch):
    clock, interrupt = Clock(monkeypatch, 1.0, 1.0), Interrupt()
    made = pieces(clock, interrupt, details.unseen)
    next(made)
    interrupt.requested = "SIGINT"
    with pytest.raises(Interrupted, match="stopped by SIGINT"):
        next(made)
    assert clock.now == 2.0
