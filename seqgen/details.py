"""What an evaluation says beside its numbers: shared by those that look at each example again.

`predictions.py` does for classes and answers, `latents.py` for models with a latent vector.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.run import Found

Predict = Callable[..., dict[str, jax.Array]]  # (params, arrays, index, static shape)


class Details(NamedTuple):
    """What they add to an evaluation's numbers, to its record, and to the line that is shown."""

    metrics: dict[str, float]
    facts: dict[str, Any]
    sentence: str


def every(
    predict: Predict, found: Found, dataset: Dataset, split: str, arrays: Any, interrupt: Interrupt
) -> Iterator[dict[str, np.ndarray]]:
    """The predictions of each batch, rows that only fill up left out."""
    for index in range(dataset.num_batches[split]):
        shape = dataset.shape(split, index, False)
        batch = jax.device_get(predict(found.params, arrays, jnp.int32(index), shape))
        if interrupt.requested:
            raise Interrupted(interrupt.requested)
        real_B = batch["weight_B"] > 0
        yield jax.tree.map(lambda rows, real_B=real_B: rows[real_B], batch)
