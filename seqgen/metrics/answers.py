"""How good whole answers are: exact match, and BLEU as sums that add up over a split.

An answer is a row of tokens that ends with its first token 0. Letters here: K references of an
answer, R tokens of a reference.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seqgen.metrics import Meaning

ORDERS = (1, 2, 3, 4)  # of BLEU's n-grams


def reported(spec: dict[str, Any]) -> dict[str, Meaning]:
    """What is reported of answers to data of that spec; BLEU is of words."""
    names = ["exact_match"]
    if spec["unit"] == "word":
        names += ["bleu", *_shorter(references(spec))]
    return dict.fromkeys(names, Meaning("", larger_is_better=True))


def references(spec: dict[str, Any]) -> int:
    """How many right answers an evaluated input has."""
    return spec["targets"].get("references", 1)


def _shorter(references: int) -> dict[str, int]:
    """BLEU of fewer orders than all, which is usual for captions: name -> highest order."""
    return {f"bleu_{order}": order for order in ORDERS[:-1]} if references > 1 else {}


def measured(
    answer_BT: jax.Array, target_BKR: jax.Array, spec: dict[str, Any]
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """name -> (value [B], weight [B]) of answers and their references, for `finalize`.

    Where the data have a token for words that are "unknown", to answer with it is never right.
    """
    if "unknown" in spec["targets"]:
        answer_BT = jnp.where(answer_BT == spec["targets"]["unknown"], -1, answer_BT)
    match_B = exact_match(answer_BT, target_BKR)
    found = {"exact_match": (match_B, jnp.ones_like(match_B))}
    return found | bleu_counts(answer_BT, target_BKR) if spec["unit"] == "word" else found


def padded(targets: jax.Array, longest: int) -> jax.Array:
    """A batch's targets, [B, T] or [B, K, T], as references [B, K, longest]."""
    missing = [(0, 0)] * (targets.ndim - 1) + [(0, longest - targets.shape[-1])]
    return jnp.pad(targets, missing).reshape(len(targets), -1, longest)


def finalize(means: dict[str, float], references: int) -> dict[str, float]:
    """The reported numbers: BLEU in place of what it is a function of."""
    counts = {name: mean for name, mean in means.items() if name.startswith("grams_")}
    others = {name: mean for name, mean in means.items() if name not in counts}
    if not counts:
        return others
    highest = {"bleu": ORDERS[-1]} | _shorter(references)
    return others | {name: bleu(counts, order) for name, order in highest.items()}


def real(tokens_XT: jax.Array) -> jax.Array:
    """bool [..., T]: the tokens of each answer, its end among them."""
    ends_XT = (tokens_XT == 0).astype(jnp.int32)
    return jnp.cumsum(ends_XT, axis=-1) - ends_XT == 0


def exact_match(answer_BT: jax.Array, target_BKT: jax.Array) -> jax.Array:
    """Whether each answer is one of its references up to and with the end, float [B]."""
    same_BKT = (answer_BT[:, None] == target_BKT) | ~real(target_BKT)
    return jnp.any(jnp.all(same_BKT, axis=2), axis=1).astype(jnp.float32)


def bleu_counts(
    answer_BT: jax.Array, target_BKR: jax.Array
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """What BLEU (Papineni et al. 2002) adds up over a corpus.

    Returns "grams_1" … "grams_4": (n-grams of the answer found in the references, each at most as
    often as in the one that has it most [B], n-grams of the answer [B]), and "grams_length": (words
    of the answer [B], words of the reference nearest in length, the shorter of two [B]).
    """
    counts = {}
    for order in ORDERS:
        own_BT, own_real_BT = _grams(answer_BT, order)
        own_count_BT = _occurrences(own_BT, own_BT, own_real_BT)
        other = jax.vmap(partial(_grams, order=order), 1, 1)(target_BKR)
        other_count_BKT = jax.vmap(partial(_occurrences, own_BT), 1, 1)(*other)
        # each of the `own` occurrences counts min(own, other) / own
        most_BT = jnp.max(other_count_BKT, axis=1)
        found_BT = jnp.minimum(most_BT / jnp.maximum(own_count_BT, 1), 1.0)
        total_B = jnp.sum(own_real_BT, axis=1).astype(jnp.float32)
        counts[f"grams_{order}"] = (jnp.sum(jnp.where(own_real_BT, found_BT, 0), axis=1), total_B)
    own_B, other_BK = (
        jnp.sum(real(tokens) & (tokens != 0), axis=-1) for tokens in (answer_BT, target_BKR)
    )
    # by distance, then by length
    rank_BK = jnp.abs(other_BK - own_B[:, None]) * (target_BKR.shape[2] + 1) + other_BK
    nearest_B1 = jnp.argmin(rank_BK, axis=1, keepdims=True)
    other_B = jnp.take_along_axis(other_BK, nearest_B1, axis=1)[:, 0]
    return counts | {"grams_length": (own_B.astype(jnp.float32), other_B.astype(jnp.float32))}


def bleu(means: dict[str, float], highest: int) -> float:
    """BLEU in [0, 100] of the corpus means of `bleu_counts`, of n-grams up to the highest order; 0
    where some order has no match."""
    precisions = [means[f"grams_{order}"] for order in range(1, highest + 1)]
    ratio = means["grams_length"]
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


def _occurrences(wanted_BTN: jax.Array, among_BRN: jax.Array, real_BR: jax.Array) -> jax.Array:
    """How often each n-gram is among others, of which some are real, int32 [B, T]."""
    same_BTR = jnp.all(wanted_BTN[:, :, None] == among_BRN[:, None], axis=-1)
    return jnp.sum(same_BTR & real_BR[:, None], axis=2)
