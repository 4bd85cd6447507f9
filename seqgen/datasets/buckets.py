"""Stored examples in batches of like length, so that little of a batch is padding.

A dataset of stored examples calls `stored` here where its option `buckets` is set, else the one of
`sampling.py`: the examples are the same, those of a batch are others.
"""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, sampling

Fields = dict[str, np.ndarray]


def stored(
    spec: dict[str, Any],
    arrays: dict[str, Fields],
    lengths: dict[str, Fields],
    batch_size: int,
    buckets: int,
) -> Dataset:
    """A Dataset whose examples lie sorted by length, cut into `buckets` ranges of whole batches.

    A training batch is drawn from one bucket, every example once in the bucket's epoch; the order
    of the buckets is fixed, and mixed so that no stretch of it is of one length. A batch is padded
    to the longest of its bucket, so that there are at most so many shapes.

    arrays: split -> field -> array of examples, in small integer types.
    lengths: split -> those of the fields that are padded -> real steps [N] of each example, which
      is as long as it is in its longest field.
    """
    fingerprint = sampling.digest(spec, arrays)
    names = tuple(next(iter(lengths.values())))
    layouts, ordered = {}, {}
    for split, fields in arrays.items():
        order_N = np.argsort(np.max([lengths[split][n] for n in names], axis=0), kind="stable")
        sorted_lengths = [lengths[split][name][order_N] for name in names]
        layouts[split] = lay_out(sorted_lengths, batch_size, buckets)
        ordered[split] = {name: array[order_N] for name, array in fields.items()}
        ordered[split]["index_B"] = order_N.astype(np.int32)

    def batch(arrays, split, index, key, bucket):
        layout = layouts[split]
        if key is None:
            place_B, weight_B = sampling.in_order(index, batch_size, layout.starts[-1])
        else:
            place_B = drawn(layout, key, index, bucket, batch_size)
            weight_B = jnp.ones(batch_size, jnp.float32)
        fields = {name: jnp.take(array, place_B, axis=0) for name, array in arrays[split].items()}
        for name, width in zip(names, layout.widths[bucket], strict=True):
            fields[name] = fields[name][:, :width]
        return sampling.typed(fields | {"weight_B": weight_B})

    def shape(split: str, index: int, training: bool) -> tuple[int, ...]:
        layout = layouts[split]
        number = layout.turns[index % len(layout.turns)] if training else index
        return (bisect.bisect(layout.bounds, number) - 1,)

    batches = {split: layout.bounds[-1] for split, layout in layouts.items()}
    return Dataset(spec, fingerprint, ordered, batches, batch, shape)


class Layout(NamedTuple):
    """Which sorted examples of a split are in which bucket, and when its turn comes."""

    bounds: list[int]  # bucket k holds the batches of sorted examples from bounds[k] to [k + 1],
    starts: list[int]  # which are the examples from starts[k] to [k + 1],
    widths: list[tuple[int, ...]]  # the longest of which have widths[k], one for each padded field
    turns: np.ndarray  # the batches in the order in which their buckets are trained on


def lay_out(lengths: Sequence[np.ndarray], batch_size: int, buckets: int) -> Layout:
    """lengths: of the sorted examples, one array [N] for each padded field."""
    size = len(lengths[0])
    count = sampling.num_batches(size, batch_size)
    bounds = sorted({round(count * k / buckets) for k in range(buckets + 1)})
    starts = [min(bound * batch_size, size) for bound in bounds]
    widths = [
        tuple(int(length_N[begin:end].max()) for length_N in lengths)
        for begin, end in itertools.pairwise(starts)
    ]
    # RandomState's numbers never change (NEP 19), those of default_rng may
    return Layout(bounds, starts, widths, np.random.RandomState(0).permutation(count))


def drawn(
    layout: Layout, key: jax.Array, index: jax.Array, bucket: int, batch_size: int
) -> jax.Array:
    """Sorted places [B] of the examples of training batch `index`, which is of that bucket."""
    (begin, end), (first, last) = (x[bucket : bucket + 2] for x in (layout.starts, layout.bounds))
    is_mine = (layout.turns >= first) & (layout.turns < last)
    before = jnp.asarray(np.cumsum(is_mine) - is_mine, jnp.int32)
    # how many batches of this bucket came before this one
    number = index // len(is_mine) * (last - first) + before[index % len(is_mine)]
    return begin + sampling.shuffled(
        jax.random.fold_in(key, bucket), number, batch_size, end - begin
    )
