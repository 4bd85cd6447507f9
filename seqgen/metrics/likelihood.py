"""How likely a model finds what happened: nats, perplexity, bits per character, accuracies.

The objective `likelihood` measures with the first half, and turns the means over a split into
reported numbers with `finalize`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from seqgen.metrics import Meaning, target_unit

LN2 = math.log(2.0)


def reported(spec: dict[str, Any]) -> dict[str, Meaning]:
    """What a model of data of that spec reports.

    With real targets the loss has the unit of a target squared, which the data do not tell.
    """
    if spec["targets"]["kind"] == "real":
        return dict.fromkeys(("loss", "squared_error"), Meaning("", larger_is_better=False))
    if spec["targets"]["kind"] == "binary":
        return {
            "loss": Meaning("nats per frame", larger_is_better=False),
            "frame_accuracy": Meaning("", larger_is_better=True),
        }
    meanings = {
        "loss": Meaning("nats", larger_is_better=False),
        "perplexity": Meaning("", larger_is_better=False),
        "bits_per_character": Meaning("bits", larger_is_better=False),
        "accuracy": Meaning("", larger_is_better=True),
        "macro_f1": Meaning("", larger_is_better=True),
    }
    if target_unit(spec) != "character":
        del meanings["bits_per_character"]
    if spec["targets"]["per"] != "sequence":
        del meanings["macro_f1"]
    return meanings


def categorical(
    logits_XV: jax.Array, target_X: jax.Array, smoothing: float | None = None
) -> tuple[jax.Array, jax.Array]:
    """(-log p(target) in nats, whether the target is the likeliest class), both [...].

    With label smoothing (Szegedy et al. 2016) the target gives a share of its mass to all classes
    alike. As a language model's logits are most of what there is to read, they are read few times:
    nothing of their size is made but their gradient.
    """
    index_XV = jax.lax.broadcasted_iota(jnp.int32, logits_XV.shape, logits_XV.ndim - 1)
    is_XV = index_XV == target_X[..., None]
    own_X = jnp.sum(jnp.where(is_XV, logits_XV, 0), axis=-1)
    said_X = own_X
    if smoothing is not None:
        said_X = (1 - smoothing) * own_X + smoothing * jnp.mean(logits_XV, axis=-1)
    # of equal ones the first is the likeliest, as for argmax, whose search is slower
    before_XV = (logits_XV > own_X[..., None]) | (
        (logits_XV == own_X[..., None]) & (index_XV < target_X[..., None])
    )
    correct_X = ~jnp.any(before_XV, axis=-1) & ~jnp.isnan(own_X)
    return log_total(logits_XV) - said_X, correct_X.astype(logits_XV.dtype)


@jax.custom_jvp
def log_total(logits_XV: jax.Array) -> jax.Array:
    """log of the sum of exp [...]. Its derivative computes the exp again instead of storing it."""
    return jax.nn.logsumexp(logits_XV, axis=-1)


@log_total.defjvp
def _log_total_jvp(primals, tangents):
    (logits_XV,), (d_XV,) = primals, tangents
    total_X = log_total(logits_XV)
    return total_X, jnp.sum(jnp.exp(logits_XV - total_X[..., None]) * d_XV, axis=-1)


def bernoulli(logits_XF: jax.Array, target_XF: jax.Array) -> jax.Array:
    """-log p of all F independent yes-or-no targets together, in nats, [...].

    -log sigmoid(z) = softplus(-z), and p(no) = sigmoid(-z): one softplus of the logit that speaks
    against the target, which neither overflows nor cancels.
    """
    against_XF = jnp.where(target_XF > 0.5, -logits_XF, logits_XF)
    return jnp.sum(jax.nn.softplus(against_XF), axis=-1)


def hits_and_all(logits_XF: jax.Array, target_XF: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(TP, TP + FP + FN) of yes-or-no targets, both [...].

    Their sums over a split divide to the accuracy of Bay, Ehmann & Downie 2009, which the many true
    negatives of music do not flatter.
    """
    found_XF, true_XF = logits_XF > 0, target_XF > 0.5
    count = lambda x_XF: jnp.sum(x_XF, axis=-1).astype(logits_XF.dtype)  # noqa: E731
    return count(found_XF & true_XF), count(found_XF | true_XF)


def squared_error(output_BF: jax.Array, target_BF: jax.Array) -> jax.Array:
    """|y - y'|^2 summed over features: -log N(y; y', 1/2) up to a constant."""
    return jnp.sum((output_BF - target_BF) ** 2, axis=-1)


def finalize(means: dict[str, float], unit: str | None) -> dict[str, float]:
    """Adds what is a function of the mean nats per target: perplexity, and bits for characters."""
    reported = dict(means)
    if "accuracy" in means:
        reported["perplexity"] = math.exp(min(means["loss"], 700.0))
    if unit == "character":
        reported["bits_per_character"] = means["loss"] / LN2
    return reported
