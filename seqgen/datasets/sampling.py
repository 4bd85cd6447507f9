"""Which examples make up batch number i: the part that all datasets share.

A dataset file describes how one example is drawn (`generated`) or its arrays (`stored`); either
helper turns that into a Dataset whose batches need no state.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import SPLITS, Dataset
from seqgen.errors import UsageError

# Generated validation and test examples are drawn from this seed, whatever the run's seed, so they
# are the same for every run and no run trains on them.
EVALUATION_SEED = 0x5E96E4
# The distance of a permuted place from a uniformly random one shrinks by sqrt(2) each round, from
# sqrt(size): 2**-16 is left of 60,000 examples.
ROUNDS = 48


def check(options: Any) -> None:
    """Raises one UsageError with everything that `options.problems()` finds."""
    problems = list(options.problems())
    if problems:
        raise UsageError("; ".join(problems))


def bad_min_length(options: Any, least: int) -> Iterable[str]:
    """A sentence if `min_length` is set and not from `least` to `length`."""
    if options.min_length is not None and not least <= options.min_length <= options.length:
        yield (
            f"dataset.min_length must be None or from {least} to dataset.length={options.length}, "
            f"not {options.min_length}"
        )


def num_batches(size: int, batch_size: int) -> int:
    return -(-size // batch_size)


def digest(description: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]]) -> str:
    """sha256 of a JSON description and of named arrays by split: types, shapes and bytes."""
    sha = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for split, fields in arrays.items():
        for name, array in fields.items():
            sha.update(f"{split} {name} {array.dtype.str} {array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def permute(key: jax.Array, position: jax.Array, size: int) -> jax.Array:
    """Where a permutation of 0 … size - 1, chosen by the key, sends one position, in O(1).

    The swap-or-not shuffle (Hoang, Morris & Rogaway 2012): a round pairs every x with shift - x
    (mod size), and a hash that both partners share decides whether they change places. Each round
    is its own inverse, so this is a bijection for every size, without a walk of unknown length as a
    Feistel network needs where the size is no power of two.
    """
    first, second = jax.random.bits(key, (2,), jnp.uint32)

    def one_round(number, x):
        step = jnp.uint32(number) * jnp.uint32(0x9E3779B9)  # Weyl sequence: all rounds differ
        shift = _hash(first + step) % jnp.uint32(size)
        partner = jnp.where(shift >= x, shift - x, shift + size - x)
        swap = _hash(jnp.maximum(x, partner) ^ _hash(second + step)) & 1
        return jnp.where(swap == 1, partner, x)

    # a few rounds make one program of cheap integer operations: fewer kernels on a GPU
    x = jax.lax.fori_loop(0, ROUNDS, one_round, position.astype(jnp.uint32), unroll=8)
    return x.astype(jnp.int32)


def _hash(x: jax.Array) -> jax.Array:
    """MurmurHash3's 32-bit finaliser: every input bit reaches every output bit."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def shuffled(key: jax.Array, index: jax.Array, batch_size: int, size: int) -> jax.Array:
    """index_B of training batch `index`: the epochs' permutations laid end to end.

    An epoch ends where it ends, inside a batch too; then the next epoch's permutation goes on.
    """
    # index * batch_size may pass 2**31 in a long run, size * batch_size does not; and after `size`
    # batches exactly batch_size epochs are over
    position_B = (index % size) * batch_size + jnp.arange(batch_size)
    epoch_B = (index // size) * batch_size + position_B // size
    keys_B = jax.vmap(jax.random.fold_in, (None, 0))(key, epoch_B)
    return jax.vmap(partial(permute, size=size))(keys_B, position_B % size)


def in_order(index: jax.Array, batch_size: int, size: int) -> tuple[jax.Array, jax.Array]:
    """(index_B, weight_B) of evaluation batch `index`; fill has weight 0 and repeats the last."""
    position_B = index * batch_size + jnp.arange(batch_size)
    weight_B = (position_B < size).astype(jnp.float32)
    return jnp.minimum(position_B, size - 1), weight_B


def stored(
    spec: dict[str, Any],
    arrays: dict[str, dict[str, np.ndarray]],
    batch_size: int,
    read: Callable[[dict[str, jax.Array]], dict[str, jax.Array]],
) -> Dataset:
    """A Dataset of stored examples.

    arrays: split -> field -> array of examples, in the smallest types that hold them.
    read: one batch of each field -> the batch's own entries ("inputs", "targets", …).
    """
    sizes = {split: len(next(iter(fields.values()))) for split, fields in arrays.items()}

    def batch(arrays, split, index, key):
        size = sizes[split]
        if key is None:
            index_B, weight_B = in_order(index, batch_size, size)
        else:
            index_B = shuffled(key, index, batch_size, size)
            weight_B = jnp.ones(batch_size, jnp.float32)
        fields = {name: jnp.take(array, index_B, axis=0) for name, array in arrays[split].items()}
        return typed(read(fields) | {"index_B": index_B, "weight_B": weight_B})

    batches = {split: num_batches(size, batch_size) for split, size in sizes.items()}
    return Dataset(spec, digest(spec, arrays), arrays, batches, batch)


def generated(
    spec: dict[str, Any],
    options: Any,
    version: int,
    draw: Callable[[jax.Array], dict[str, jax.Array]],
    *,
    train_size: int | None = None,
) -> Dataset:
    """A Dataset of generated examples.

    options: with `batch_size` and `test_size`, the examples of each evaluated split.
    version: to be raised when `draw` gives other examples than before.
    draw: key -> one example, without the batch axis.
    train_size: so many examples to train on, drawn again whenever they come; those of a smaller
        number are among those of a larger one. None: endless ones.

    Each evaluated example has a key of its own, so it does not depend on the batch size. Evaluating
    the training split scores what there is to train on or, where that is endless, a third fixed
    sample.
    """
    batch_size, endless = options.batch_size, train_size is None
    sizes = dict.fromkeys(SPLITS, options.test_size)
    if not endless:
        sizes["train"] = train_size

    def batch(arrays, split, index, key):
        del arrays
        number_B, weight_B = jnp.arange(batch_size), jnp.ones(batch_size, jnp.float32)
        if key is None:
            index_B, weight_B = in_order(index, batch_size, sizes[split])
        elif endless:
            index_B = index * batch_size + number_B
        else:
            index_B = shuffled(key, index, batch_size, sizes[split])
        if key is None or not endless:
            # the generator is named, so that no setting of the process changes the sample; the
            # fold is beyond every batch number, so not even a run keyed by this seed trains on it
            fixed = jax.random.key(EVALUATION_SEED, impl="threefry2x32")
            key, number_B = jax.random.fold_in(fixed, 2**32 - 1 - SPLITS.index(split)), index_B
        else:
            key = jax.random.fold_in(key, index)
        keys_B = jax.vmap(jax.random.fold_in, (None, 0))(key, number_B)
        return typed(jax.vmap(draw)(keys_B) | {"index_B": index_B, "weight_B": weight_B})

    task = {name: value for name, value in asdict(options).items() if name != "batch_size"}
    batches = {split: num_batches(size, batch_size) for split, size in sizes.items()}
    return Dataset(spec, digest(spec | task | {"version": version}, {}), {}, batches, batch)


def typed(batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Every number in 32 bits, also where 64 are switched on."""

    def typed(x):
        if x.dtype == bool:
            return x
        return x.astype(jnp.int32 if jnp.issubdtype(x.dtype, jnp.integer) else jnp.float32)

    return {name: typed(x) for name, x in batch.items()}


def padded(rows: list[np.ndarray], length: int, size: int) -> np.ndarray:
    """Rows of token ids below `size` as one array [N, length] of a small type, 0 past each end."""
    tokens_NT = np.zeros((len(rows), length), np.min_scalar_type(size - 1))
    for tokens_T, row in zip(tokens_NT, rows, strict=True):
        tokens_T[: len(row)] = row
    return tokens_NT


def draw_length(key: jax.Array, options: Any) -> jax.Array | int:
    """One length, uniform from `min_length` to `length`; `length` if `min_length` is None."""
    if options.min_length is None:
        return options.length
    return jax.random.randint(key, (), options.min_length, options.length + 1, jnp.int32)


def cut(example: dict[str, jax.Array], length: jax.Array, options: Any) -> dict[str, jax.Array]:
    """Ends an example's "inputs" [T] after `length` steps; as it is where all lengths are equal."""
    if options.min_length is None:
        return example
    real_T = jnp.arange(options.length) < length
    return example | {"inputs": jnp.where(real_T, example["inputs"], 0), "length_B": length}


def located(path: str, source: str | None) -> Path:
    """A path with its `~` and environment variables filled in.

    Raises UsageError if a variable is not set; it says that the files are to be had from `source`.
    """
    filled = os.path.expanduser(os.path.expandvars(path))
    if unset := re.search(r"\$\{?(\w+)", filled):
        raise UsageError(
            f"dataset.path is {path}, but {unset[1]} is not set: set it to the folder of your data"
            f"{from_source(source)}, or set dataset.path"
        )
    return Path(filled)


def from_source(source: str | None) -> str:
    """Where to get missing files, as the end of a clause."""
    return f" (to be had from {source})" if source else ""
