"""Exact numbers over a split: what an objective measures, batch by batch, on the devices."""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from seqgen import ahead
from seqgen.datasets import Dataset
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.metrics import Measured, means
from seqgen.objectives import Objective

# Batches of one call: many, where they are small, but a signal waits for the end of a call.
MOST, SHORT_SECONDS = 64, 0.05
# (params, the dataset's arrays, interrupt) -> reported numbers
Measure = Callable[[dict[str, Any], Any, Interrupt], dict[str, float]]


class Evaluator:
    """(params, arrays, interrupt) -> reported numbers over the whole split: a `Measure`.

    Compiles once for each shape of the batches. Values are summed in double precision over single
    examples (rows), so that no number depends on how the split was batched. A call takes several
    batches of one shape where they are quick. Raises Interrupted between two calls when a signal
    has come.
    """

    def __init__(self, objective: Objective, dataset: Dataset, split: str, mesh: Mesh) -> None:
        self._objective, self._dataset, self._split = objective, dataset, split

        def examples(arrays, index, shape):
            return dataset.batch(arrays, split, index, None, *shape)

        start = partial(examples, index=jnp.int32(0), shape=dataset.shape(split, 0, False))
        first = jax.eval_shape(start, dataset.arrays)
        split_rows = P("batch") if len(first["weight_B"]) % mesh.size == 0 else P()

        whole = NamedSharding(mesh, P())  # what is read, by whatever process
        self._kept = kept = NamedSharding(mesh, split_rows)

        @partial(jax.jit, out_shardings=kept)  # as `measure` returns it
        def begin(arrays):
            return objective.init(jax.random.key(0), start(arrays))[1]["rows"]

        def on_device(params, rows, batch, key_data):
            key = jax.random.wrap_key_data(key_data)
            measured, memory = objective.measure(params, {"rows": rows}, batch, key)
            return measured, memory["rows"]

        def one_batch(params, arrays, index, rows, shape):
            batch = examples(arrays, index, shape)
            key_data = jax.random.key_data(jax.random.fold_in(jax.random.key(0), index))
            return jax.shard_map(
                on_device,
                mesh=mesh,
                in_specs=(P(), split_rows, split_rows, P()),
                out_specs=split_rows,
                check_vma=False,
            )(params, rows, batch, key_data)

        @partial(jax.jit, static_argnums=5, out_shardings=(whole, kept))
        def measure(params, rows, arrays, first, count, shape):
            """`count` batches from number `first`: (what is measured, in MOST places, rows)."""
            one = partial(one_batch, params, arrays, shape=shape)
            measured, _ = jax.eval_shape(one, first, rows)

            def move(number, carry):
                places, rows = carry
                measured, rows = one(first + number, rows)
                return jax.tree.map(lambda all, m: all.at[number].set(m), places, measured), rows

            places = jax.tree.map(lambda m: jnp.zeros((MOST, *m.shape), m.dtype), measured)
            return jax.lax.fori_loop(0, count, move, (places, rows))

        self._begin, self._measure = begin, measure

    def compile_ahead(self, compiler: Executor, params: dict[str, Any], arrays: Any) -> None:
        """Has what the first batch needs compiled meanwhile: see `ahead.compiled`."""
        rows = ahead.placed(jax.eval_shape(self._begin, arrays), self._kept)
        shape = self._dataset.shape(self._split, 0, False)
        first = (params, rows, arrays, np.int32(0), np.int32(1), shape)
        self._begin = ahead.compiled(compiler, self._begin, arrays)
        self._measure = ahead.compiled(compiler, self._measure, *first)

    def __call__(
        self, params: dict[str, Any], arrays: Any, interrupt: Interrupt
    ) -> dict[str, float]:
        return self._objective.finalize(means(self.rows(params, arrays, interrupt)))

    def rows(self, params: dict[str, Any], arrays: Any, interrupt: Interrupt) -> list[Measured]:
        """What the objective measures of each row, batch by batch."""
        total = self._dataset.num_batches[self._split]
        rows, calls, index, most, before = self._begin(arrays), [], 0, 1, None
        while index < total:
            began = time.monotonic()
            shape = self._dataset.shape(self._split, index, False)
            if shape != before:  # nothing is known of how long its batches take
                most, before = 1, shape
            count = self._alike(shape, range(index, min(index + most, total)))
            batches = (np.int32(index), np.int32(count))
            measured, rows = self._measure(params, rows, arrays, *batches, shape)
            calls.append((measured, count))
            if len(calls) > 1:  # read the previous one while this one is computed
                calls[-2] = jax.device_get(calls[-2])
                # not where other processes, which must take as many, may find that it was long
                if time.monotonic() - began < SHORT_SECONDS and jax.process_count() == 1:
                    most = min(2 * most, MOST)
            if interrupt.requested:
                raise Interrupted(interrupt.requested)
            index += count
        read = [(jax.device_get(measured), count) for measured, count in calls]
        return [jax.tree.map(itemgetter(n), places) for places, count in read for n in range(count)]

    def _alike(self, shape: tuple[int, ...], numbers: range) -> int:
        """How many of these batches, from the first on, have that shape."""
        shapes = (self._dataset.shape(self._split, number, False) for number in numbers)
        return sum(1 for _ in itertools.takewhile(lambda other: other == shape, shapes))
