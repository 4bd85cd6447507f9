"""Looks at samples while a run is trained: can they still be told from data? They may end the run.

`session.py` builds what looks, `train.py` asks it at each validation.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import decoding, likeness
from seqgen import run as runs
from seqgen.datasets import Dataset
from seqgen.errors import UsageError, require
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.metrics import verdict
from seqgen.objectives import Objective
from seqgen.run import Found


class Look(NamedTuple):
    """What a look at the samples of a run says while it is trained."""

    numbers: dict[str, Any]  # of REPORTS, and the verdict's word
    sentence: str
    ending: str | None  # why the run ends here; None: it goes on


def looker(
    objective: Objective, dataset: Dataset, detectable: float
) -> Callable[[Found, Any, int, Interrupt], Look]:
    """(parameters, the dataset's arrays, number of the look from 1, interrupt) -> what it says.

    The first `likeness.SAMPLES` examples of validation beside as many samples, whose noise is the
    same at every look. The levels of all looks add up to verdict's alpha, so they fall with the
    number: what the tests would still have noticed is said each time. The run ends where they would
    have noticed a classifier that is right on the share `detectable` and did not. Raises UsageError
    where no examples of numbers are made, and where there are too few to notice that.
    """
    kind = dataset.spec["inputs"]["kind"]
    if objective.generate is None or runs.writes_answers(objective) or kind not in likeness.KINDS:
        raise UsageError(
            "stop_when_indistinguishable compares samples with data: that takes an objective that "
            "makes pictures, points or series"
        )
    require("scipy.stats", "data")  # not after an hour of training
    refuse_few(dataset, detectable)
    generate = jax.jit(partial(objective.generate, options=decoding.Options()))
    kept: list[Any] = []  # the examples: they are read once

    def look(found: Found, arrays: Any, number: int, interrupt: Interrupt) -> Look:
        if not kept:
            real = likeness.examples(found, dataset, "valid", likeness.SAMPLES, arrays, interrupt)
            kept.extend([real, likeness.trained(found, dataset, arrays, interrupt)])
        (real, classes_N), (train, partly) = kept
        made, _ = likeness.generated(generate, found, classes_N)
        if interrupt.requested:
            raise Interrupted(interrupt.requested)
        if not np.all(np.isfinite(made)):
            return Look({}, f"look {number}: samples are not finite", None)
        judged = verdict.judged(
            likeness.flat(train), likeness.flat(real), likeness.flat(made), look=number
        )
        numbers = likeness.numbers_of(judged) | {"verdict": judged.word}
        said, ending = f"look {number}: {judged.sentence}{partly}", None
        if judged.word == verdict.ALIKE and numbers["detectable_accuracy"] <= detectable:
            ending = f"the two-sample tests can't tell generated from real; {said}"
        return Look(numbers, said, ending)

    return look


def refuse_few(dataset: Dataset, detectable: float) -> None:
    """Raises UsageError where even the first look, with the most to spend, could end no run."""
    for split in ("train", "valid"):
        if (n := size(dataset, split, verdict.LEAST)) < verdict.LEAST:
            raise UsageError(
                f"stop_when_indistinguishable needs at least {verdict.LEAST} examples of {split}, "
                f"not {n}"
            )
    most = min(likeness.SAMPLES, verdict.MOST)
    n = size(dataset, "valid", most)
    least = verdict.noticed(n, 1)
    if least > detectable:
        counts = range(verdict.LEAST, most + 1)
        needed = next((c for c in counts if verdict.noticed(c, 1) <= detectable), None)
        raise UsageError(
            f"stop_detectable={detectable} can't be had of n={n} examples of valid: the first look "
            f"would notice a classifier right on a share of {math.ceil(1000 * least) / 1000}; "
            + (f"that takes n={needed}" if needed else f"n={most} are the most that are used")
        )


def size(dataset: Dataset, split: str, most: int) -> int:
    """The examples of a split, counted as far as `most`."""

    @partial(jax.jit, static_argnums=2)
    def real(arrays, index, shape):
        return jnp.sum(dataset.batch(arrays, split, index, None, *shape)["weight_B"] > 0)

    count = 0
    for index in range(dataset.num_batches[split]):
        shape = dataset.shape(split, index, False)
        count += int(real(dataset.arrays, jnp.int32(index), shape))
        if count >= most:
            return most
    return count
