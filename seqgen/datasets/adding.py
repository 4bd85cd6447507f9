"""The adding problem (Hochreiter & Schmidhuber 1997): the sum of two marked numbers far apart."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from seqgen.datasets import Dataset, sampling
from seqgen.errors import out_of_range


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 32
    length: int = 100  # steps of every sequence
    marker_per_half: bool = False  # one marker in each half; else two anywhere, but never the same
    test_size: int = 10_000  # examples of each evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", length="[2, inf)", test_size="[1, inf)"
        )


def make(options: Options) -> Dataset:
    """inputs [T, 2]: a number of U[0, 1) and a mark of 0 or 1 at each step; target [1]: the sum of
    the two marked numbers.

    Always answering 1 has a mean squared error of 1/6. Markers stand anywhere, as in the sequences
    of Bai, Kolter & Koltun 2018, or one in each half, as in those of Arjovsky, Shah & Bengio 2016.
    """
    sampling.check(options)
    length, half = options.length, options.length // 2
    spec = {
        "dataset": "adding",
        "length": length,
        "streamed": False,
        "inputs": {"kind": "real", "size": 2},
        "targets": {"kind": "real", "size": 1, "per": "sequence"},
    }

    def markers(key):
        key_first, key_second = jax.random.split(key)
        if options.marker_per_half:
            first = jax.random.randint(key_first, (), 0, half, jnp.int32)
            return first, jax.random.randint(key_second, (), half, length, jnp.int32)
        first = jax.random.randint(key_first, (), 0, length, jnp.int32)
        second = jax.random.randint(key_second, (), 0, length - 1, jnp.int32)
        return first, second + (second >= first)  # steps over the first, so all pairs are equal

    def draw(key):
        key_numbers, key_markers = jax.random.split(key)
        numbers_T = jax.random.uniform(key_numbers, (length,), jnp.float32)
        first, second = markers(key_markers)
        steps_T = jnp.arange(length)
        marks_T = ((steps_T == first) | (steps_T == second)).astype(jnp.float32)
        total = numbers_T[first] + numbers_T[second]
        return {"inputs": jnp.stack([numbers_T, marks_T], axis=-1), "targets": total[None]}

    return sampling.generated(spec, options, version=1, draw=draw)
