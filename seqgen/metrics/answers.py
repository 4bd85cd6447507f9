"""How good whole answers are: exact match, and BLEU as sums that add up over a split.

An answer is a row of tokens that ends with its first token 0.
"""

import math

import jax
import jax.numpy as jnp

from seqgen.metrics import Meaning

ORDERS = (1, 2, 3, 4)  # of BLEU's n-grams


def reported(unit: str) -> dict[str, Meaning]:
    """What is reported of answers made of that unit; BLEU is of words."""
    meanings = {"exact_match": Meaning("", larger_is_better=True)}
    if unit == "word":
        meanings["bleu"] = Meaning("", larger_is_better=True)
    return meanings


def measured(
    answer_BT: jax.Array, target_BR: jax.Array, unit: str
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """name -> (value [B], weight [B]) of answers and their targets, for `finalize`."""
    match_B = exact_match(answer_BT, target_BR)
    found = {"exact_match": (match_B, jnp.ones_like(match_B))}
    return found | bleu_counts(answer_BT, target_BR) if unit == "word" else found


def finalize(means: dict[str, float]) -> dict[str, float]:
    """The reported numbers: BLEU in place of what it is a function of."""
    counts = {name: mean for name, mean in means.items() if name.startswith("bleu_")}
    others = {name: mean for name, mean in means.items() if name not in counts}
    return others | {"bleu": bleu(counts)} if counts else others


def real(tokens_BT: jax.Array) -> jax.Array:
    """bool [B, T]: the tokens of each answer, its end among them."""
    ends_BT = (tokens_BT == 0).astype(jnp.int32)
    return jnp.cumsum(ends_BT, axis=1) - ends_BT == 0


def exact_match(answer_BT: jax.Array, target_BT: jax.Array) -> jax.Array:
    """Whether each answer is its target up to and with the end, float [B]."""
    return jnp.all((answer_BT == target_BT) | ~real(target_BT), axis=1).astype(jnp.float32)


def bleu_counts(
    answer_BT: jax.Array, target_BR: jax.Array
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """What BLEU (Papineni et al. 2002) adds up over a corpus, one reference for each answer.

    Returns "bleu_1" … "bleu_4": (n-grams of the answer found in the reference, each at most as
    often as it is there [B], n-grams of the answer [B]), and "bleu_length": (words of the answer
    [B], words of the reference [B]).
    """
    counts = {}
    for order in ORDERS:
        own_BT, own_real_BT = _grams(answer_BT, order)
        other_BR, other_real_BR = _grams(target_BR, order)
        same_BTT = _same(own_BT, own_BT) & own_real_BT[:, None, :]
        same_BTR = _same(own_BT, other_BR) & other_real_BR[:, None, :]
        own_count_BT = jnp.maximum(jnp.sum(same_BTT, axis=2), 1)
        # each of the `own` occurrences counts min(own, other) / own
        found_BT = jnp.minimum(jnp.sum(same_BTR, axis=2) / own_count_BT, 1.0)
        total_B = jnp.sum(own_real_BT, axis=1).astype(jnp.float32)
        counts[f"bleu_{order}"] = (jnp.sum(jnp.where(own_real_BT, found_BT, 0), axis=1), total_B)
    own_B, other_B = (
        jnp.sum(real(tokens) & (tokens != 0), axis=1).astype(jnp.float32)
        for tokens in (answer_BT, target_BR)
    )
    return counts | {"bleu_length": (own_B, other_B)}


def bleu(means: dict[str, float]) -> float:
    """BLEU in [0, 100] of the corpus means of `bleu_counts`; 0 where some order has no match."""
    precisions = [means[f"bleu_{order}"] for order in ORDERS]
    ratio = means["bleu_length"]
    if not all(number > 0 for number in (ratio, *precisions)):  # NaN where there was nothing
        return 0.0
    brevity = min(0.0, 1 - 1 / ratio)
    return 100 * math.exp(brevity + sum(map(math.log, precisions)) / len(precisions))


def _grams(tokens_BT: jax.Array, order: int) -> tuple[jax.Array, jax.Array]:
    """(n-grams [B, T - n + 1, n], which of them lie within the answer, its end not counted)."""
    places = range(tokens_BT.shape[1] - order + 1)
    index_TN = jnp.asarray([[t + k for k in range(order)] for t in places], jnp.int32)
    words_BT = real(tokens_BT) & (tokens_BT != 0)
    index_TN = index_TN.reshape(-1, order)
    return tokens_BT[:, index_TN], jnp.all(words_BT[:, index_TN], axis=-1)


def _same(first_BTN: jax.Array, second_BRN: jax.Array) -> jax.Array:
    """Which n-grams are equal [B, T, R]."""
    return jnp.all(first_BTN[:, :, None] == second_BRN[:, None], axis=-1)
