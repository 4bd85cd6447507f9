"""How likely a model finds what happened: nats, perplexity, bits per character, accuracies.

The objective `likelihood` measures with the first half, and turns the means over a split into
reported numbers with `finalize`.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

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


def smoothed(
    nats_X: jax.Array, logits_XV: jax.Array, target_X: jax.Array, share: float | None
) -> jax.Array:
    """The nats of a target that gives a share of its mass to all classes alike.

    Label smoothing, Szegedy et al. 2016. nats_X are those of the target alone.
    """
    if share is None:
        return nats_X
    # -log p of any class is log Z minus its logit, so that one softmax is enough
    logit_X = jnp.take_along_axis(logits_XV, target_X[..., None], axis=-1)[..., 0]
    even_X = nats_X + logit_X - jnp.mean(logits_XV, axis=-1)
    return (1 - share) * nats_X + share * even_X


def categorical(logits_XV: jax.Array, target_X: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(-log p(target) in nats, whether the target is the likeliest class), both [...]."""
    nats_X = optax.softmax_cross_entropy_with_integer_labels(logits_XV, target_X)
    return nats_X, (jnp.argmax(logits_XV, axis=-1) == target_X).astype(nats_X.dtype)


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
