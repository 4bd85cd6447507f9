"""What is to be made small, and by whom.

`step.py` differentiates each player's loss in that player's own parameters; `evaluate.py` sums
`measure` over a split; `generate.py` calls `generate`. None of them knows which objective it runs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax

from seqgen.metrics import Meaning, Measured

Params = dict[str, Any]  # by player
Batch = dict[str, jax.Array]  # every array batch-first
# What flows from batch to batch without gradient: `rows`, batch-first, and `shared`, statistics of
# the batches, whose mean over devices and parts of the batch is kept.
Memory = dict[str, Any]
Clock = tuple[jax.Array, jax.Array]  # (step, key of this step, player and update)


class Player(NamedTuple):
    """One side of the game: it moves `updates` times a step, each time on a batch of its own.

    loss: (own params, all params, memory, batch, clock) -> (sum, (weight, memory, metrics)).
    Sums over the batch, not means: the step divides by the weight once, after accumulation and the
    sum over devices.
    """

    name: str
    updates: int
    loss: Callable[
        [Any, Params, Memory, Batch, Clock],
        tuple[jax.Array, tuple[jax.Array, Memory, dict[str, jax.Array]]],
    ]


class Objective(NamedTuple):
    """init: (key, batch) -> (params, memory), the rows of the memory fitting those of the batch.

    measure: (params, memory, batch, key) -> (name -> (value_B, weight_B), memory), without dropout;
    the memory has its rows alone.
    finalize: means over a split -> reported numbers.
    reports: what each of those numbers means, known before there is one.
    generate: (params, memory, keys_B, inputs, decoding options) -> the generated examples, the
    memory being what is shared alone; None where the model can't generate.
    frame: (params, real points [N, 2], places [X, 2]) -> what `frames.Moment` holds, by name but
    for the step; None where the examples are not points in the plane, or where nobody moves them.
    """

    players: tuple[Player, ...]
    init: Callable[[jax.Array, Batch], tuple[Params, Memory]]
    measure: Callable[[Params, Memory, Batch, jax.Array], tuple[Measured, Memory]]
    finalize: Callable[[dict[str, float]], dict[str, float]]
    reports: dict[str, Meaning]
    generate: Callable[..., Any] | None
    frame: Callable[[Params, jax.Array, jax.Array], dict[str, jax.Array]] | None = None


def example_keys(batch: Batch, number: int | jax.Array) -> jax.Array:
    """The `number`-th key of each example [B], the same whatever batch it is in."""
    base = jax.random.fold_in(jax.random.key(0), number)
    return jax.vmap(partial(jax.random.fold_in, base))(batch["index_B"])


def draws(key: jax.Array) -> dict[str, jax.Array]:
    """The random numbers of a network that trains, by their names: dropout has the key itself."""
    return {"dropout": key, "zoneout": jax.random.fold_in(key, 1)}
