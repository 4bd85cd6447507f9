"""Parity: is the number of ones odd? One bit of state, but no step may be missed."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from seqgen.datasets import Dataset, sampling
from seqgen.errors import out_of_range


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 128
    length: int = 40  # steps of every sequence, or of the longest
    min_length: int | None = 1  # lengths are uniform from here to `length`; None: all equal
    test_size: int = 10_000  # examples of each evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", length="[1, inf)", test_size="[1, inf)"
        )
        yield from sampling.bad_min_length(self, least=1)


def make(options: Options) -> Dataset:
    """inputs [L]: fair bits; target: 1 if the number of ones is odd, else 0.

    No subset of the bits tells anything about the parity of all, so the answer to a long sequence
    alone gives gradient descent nothing to follow. With the lengths mixed from 1 up, the short
    sequences teach the rule that the long ones repeat.
    """
    sampling.check(options)
    spec = {
        "dataset": "parity",
        "length": options.length,
        "streamed": False,
        "inputs": {"kind": "token", "size": 2},
        "targets": {"kind": "category", "size": 2, "per": "sequence"},
        "vocabulary": ["0", "1"],
        "classes": ["even", "odd"],
    }

    def draw(key):
        key_length, key_bits = jax.random.split(key)
        bits_T = jax.random.bits(key_bits, (options.length,), jnp.uint8).astype(jnp.int32) % 2
        length = sampling.draw_length(key_length, options)
        example = sampling.cut({"inputs": bits_T}, length, options)
        return example | {"targets": jnp.sum(example["inputs"]) % 2}

    return sampling.generated(spec, options, version=1, draw=draw)
