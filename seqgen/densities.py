"""Log-densities and divergences of the distributions that generative models are made of, in nats.

Each is summed over the event: everything behind the batch axis.
"""

import math

import jax
import jax.numpy as jnp

LOG_TWO_PI = math.log(2 * math.pi)


def total(x: jax.Array) -> jax.Array:
    """The sum over each example's event: [B, ...] -> [B]."""
    return jnp.sum(x.reshape(x.shape[0], -1), axis=1)


def log_normal(x: jax.Array, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """log N(x; mean, exp(log_variance)) of independent numbers, [B]."""
    squared = (x - mean) ** 2 * jnp.exp(-log_variance)
    return -0.5 * total(squared + log_variance + LOG_TWO_PI)


def log_bernoulli(x: jax.Array, logits: jax.Array) -> jax.Array:
    """log p of independent bits, [B].

    An x between 0 and 1 gives minus the cross-entropy, which is no likelihood: binarise first.
    """
    return total(x * logits - jax.nn.softplus(logits))


def log_categorical(x: jax.Array, logits: jax.Array) -> jax.Array:
    """log p of independent whole numbers x [B, ...] in 0 … V - 1, logits [B, ..., V]: [B]."""
    log_p = jax.nn.log_softmax(logits, axis=-1)
    chosen = x.astype(jnp.int32)[..., None]
    return total(jnp.take_along_axis(log_p, chosen, axis=-1)[..., 0])


def kl_from_standard_normal(mean_BZ: jax.Array, log_variance_BZ: jax.Array) -> jax.Array:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each latent number, [B, Z].

    Kingma and Welling 2014, appendix B.
    """
    # expm1(v) - v is v²/2 to first order: near the prior no digits cancel
    return 0.5 * (mean_BZ**2 + jnp.expm1(log_variance_BZ) - log_variance_BZ)
