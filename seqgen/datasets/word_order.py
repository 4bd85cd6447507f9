"""Sentences whose meaning is in their order alone: does the fox chase the hen, or the hen the fox?

Both say it with the same words, so that a bag of words can do no better than a coin.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, sampling
from seqgen.errors import out_of_range

ANIMALS = ("fox", "hen")
ADJECTIVES = ("old", "young", "quick", "sly", "red", "small", "hungry", "tired")
ADVERBS = ("today", "again", "slowly", "quietly", "outside", "there", "often", "alone")
VOCABULARY = ["the", "is", "chases", "chased", "by", *ANIMALS, *ADJECTIVES, *ADVERBS]
THE, IS, CHASES, CHASED, BY, FOX = range(6)


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    most_words: int = 6  # adjectives before either animal, and adverbs: from none to so many each
    test_size: int = 10_000  # examples of each evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", most_words="[0, inf)", test_size="[1, inf)"
        )


def make(options: Options) -> Dataset:
    """inputs [L]: "the sly old fox chases the hen today"; target: which animal it is that chases.

    Half of the sentences are passive ("the hen is chased by the sly old fox"), so that the animal
    named first is not the answer either. Which animal is named first is drawn apart from all else:
    every bag of words is equally likely in both classes.
    """
    sampling.check(options)
    most = options.most_words
    length = 7 + 3 * most  # of "the … fox is chased by the … hen …"
    spec = {
        "dataset": "word_order",
        "length": length,
        "streamed": False,
        "inputs": {"kind": "token", "size": len(VOCABULARY)},
        "targets": {"kind": "category", "size": len(ANIMALS), "per": "sequence"},
        "vocabulary": VOCABULARY,
        "classes": list(ANIMALS),
    }

    def draw(key):
        key_coins, key_counts, key_adjectives, key_adverbs = jax.random.split(key, 4)
        first, passive = jax.random.bits(key_coins, (2,), jnp.uint8).astype(jnp.int32) % 2
        counts = jax.random.randint(key_counts, (3,), 0, most + 1, jnp.int32)
        adjectives = _words(key_adjectives, ADJECTIVES, (2, most))
        adverbs = _words(key_adverbs, ADVERBS, (most,))
        here = [jnp.arange(most) < count for count in counts]
        one, yes = (lambda token: jnp.full(1, token, jnp.int32)), jnp.ones(1, bool)
        is_passive = passive[None] == 1
        parts = [  # tokens, and which of them the sentence has
            (one(THE), yes),
            (adjectives[0], here[0]),
            (one(FOX + first), yes),
            (one(CHASES), ~is_passive),
            (jnp.array([IS, CHASED, BY], jnp.int32), jnp.repeat(is_passive, 3)),
            (one(THE), yes),
            (adjectives[1], here[1]),
            (one(FOX + 1 - first), yes),
            (adverbs, here[2]),
        ]
        tokens, present = (jnp.concatenate(each) for each in zip(*parts, strict=True))
        order = jnp.argsort(~present)  # stable: those that are there come first, as they came
        count = jnp.sum(present)
        return {
            "inputs": jnp.where(jnp.arange(length) < count, tokens[order][:length], 0),
            "targets": first ^ passive,
            "length_B": count,
        }

    return sampling.generated(spec, options, version=1, draw=draw)


def _words(key: jax.Array, choices: tuple[str, ...], shape: tuple[int, ...]) -> jax.Array:
    """Tokens of words drawn uniformly from so many as a byte holds a whole number of times."""
    tokens = jnp.asarray([VOCABULARY.index(word) for word in choices], np.int32)
    return tokens[jax.random.bits(key, shape, jnp.uint8) % len(choices)]
