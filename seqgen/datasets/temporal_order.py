"""The temporal order problem (Hochreiter & Schmidhuber 1997): which of two symbols came first?"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from seqgen.datasets import Dataset, sampling
from seqgen.errors import out_of_range

SYMBOLS = ["A", "B", "c", "d", "e", "f"]  # the last four distract


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 20
    length: int = 100  # steps of every sequence, or of the longest
    min_length: int | None = None  # lengths are uniform from here to `length`; None: all equal
    test_size: int = 10_000  # examples of each evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", length="[10, inf)", test_size="[1, inf)"
        )
        yield from sampling.bad_min_length(self, least=10)


def make(options: Options) -> Dataset:
    """inputs [L]: distractors, but A or B at a step of [L/10, 2L/10) and at one of [5L/10, 6L/10);
    target: which two they were, in order, one of four classes.

    The form and the numbers of Pascanu, Mikolov & Bengio 2013, who count a model as successful when
    it errs on less than 1 % of 10,000 fresh sequences.
    """
    sampling.check(options)
    spec = {
        "dataset": "temporal_order",
        "length": options.length,
        "streamed": False,
        "inputs": {"kind": "token", "size": len(SYMBOLS)},
        "targets": {"kind": "category", "size": 4, "per": "sequence"},
        "vocabulary": SYMBOLS,
        "classes": ["AA", "AB", "BA", "BB"],
    }

    def draw(key):
        key_length, key_noise, key_places, key_symbols = jax.random.split(key, 4)
        length = sampling.draw_length(key_length, options)
        low = length * jnp.array([1, 5]) // 10
        high = length * jnp.array([2, 6]) // 10
        first, second = jax.random.randint(key_places, (2,), low, high, jnp.int32)
        symbols = jax.random.bits(key_symbols, (2,), jnp.uint8).astype(jnp.int32) % 2
        steps_T = jnp.arange(options.length)
        tokens_T = 2 + jax.random.bits(key_noise, steps_T.shape, jnp.uint8).astype(jnp.int32) % 4
        tokens_T = jnp.where(steps_T == first, symbols[0], tokens_T)
        tokens_T = jnp.where(steps_T == second, symbols[1], tokens_T)
        example = {"inputs": tokens_T, "targets": 2 * symbols[0] + symbols[1]}
        return sampling.cut(example, length, options)

    return sampling.generated(spec, options, version=1, draw=draw)
