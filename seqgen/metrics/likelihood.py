"""How likely a model finds what happened: nats, perplexity, bits per character, accuracy.

The objective `likelihood` measures with the first half, and turns the means over a split into
reported numbers with `finalize`.
"""

import math

import jax
import jax.numpy as jnp
import optax

LN2 = math.log(2.0)
# What a reported number means: its unit, and whether larger is better.
UNITS = {
    "loss": ("nats", False),
    "perplexity": ("", False),
    "bits_per_character": ("bits", False),
    "squared_error": ("", False),
    "accuracy": ("fraction", True),
}


def categorical(logits_XV: jax.Array, target_X: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(-log p(target) in nats, whether the target is the likeliest class), both [...]."""
    nats_X = optax.softmax_cross_entropy_with_integer_labels(logits_XV, target_X)
    return nats_X, (jnp.argmax(logits_XV, axis=-1) == target_X).astype(nats_X.dtype)


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


def larger_is_better(metric: str) -> bool:
    """Direction of a reported number."""
    return UNITS[metric][1]


def described(metrics: dict[str, float]) -> str:
    """Numbers with their units, for a line that a person reads."""
    return ", ".join(f"{n} {v:.4f} {UNITS[n][0]}".rstrip() for n, v in metrics.items())
