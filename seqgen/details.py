"""What an evaluation says beside its numbers: shared by those that look at each example again.

`predictions.py` does for classes and answers, `latents.py` for models with a latent vector.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.progress import duration
from seqgen.run import Found

Predict = Callable[..., dict[str, jax.Array]]  # (params, arrays, index, static shape)
Show = Callable[[str], None]  # what a line is shown by, as `Progress.show`
PATIENCE = 2.0  # seconds that need no line


class Details(NamedTuple):
    """What they add to an evaluation's numbers, to its record, and to the line that is shown."""

    metrics: dict[str, float]
    facts: dict[str, Any]
    sentence: str


def unseen(line: str) -> None:
    """Shows nobody how far a long task is."""


def every(
    predict: Predict,
    found: Found,
    dataset: Dataset,
    split: str,
    arrays: Any,
    interrupt: Interrupt,
    show: Show = unseen,
) -> Iterator[dict[str, np.ndarray]]:
    """The predictions of each batch, rows that only fill up left out.

    Shows how many are done and how long the others will take. Raises Interrupted between two of
    them when a signal has come.
    """
    total, compiled = dataset.num_batches[split], None
    for index in range(total):
        shape = dataset.shape(split, index, False)
        batch = jax.device_get(predict(found.params, arrays, jnp.int32(index), shape))
        if interrupt.requested:
            raise Interrupted(interrupt.requested)
        now = time.monotonic()
        if compiled is None:  # the first batch says nothing about the rate
            compiled = now
        if now - compiled > PATIENCE:
            show(line(split, index + 1, total, now - compiled))
        real_B = batch["weight_B"] > 0
        yield jax.tree.map(lambda rows, real_B=real_B: rows[real_B], batch)


def line(split: str, done: int, total: int, seconds: float) -> str:
    """How far an evaluation is whose batches after the first took so many seconds together."""
    left = (total - done) * seconds / (done - 1)
    return f"{split} batch {done}/{total}  {duration(left)} left"
