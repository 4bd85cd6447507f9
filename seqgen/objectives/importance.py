"""Importance weights of a latent-variable model, w_k = p(x | z_k) p(z_k) / q(z_k | x).

`elbo.py` makes bounds on log p(x) of them, `latents.py` estimates it. The model has `encode` and
`log_likelihood`.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen.objectives import Batch


class Posterior(NamedTuple):
    """q(z | x) and K samples of it."""

    mean: jax.Array  # [B, Z]
    log_variance: jax.Array  # [B, Z]
    z: jax.Array  # [K, B, Z]


def sampled(
    model: nn.Module, params: Any, batch: Batch, noise_KBZ: jax.Array, **how: Any
) -> Posterior:
    """K samples z = mean + exp(log-variance / 2) * noise of each example's q(z | x).

    `how` is what training tells the networks, here and below: nothing in an evaluation.
    """
    mean_BZ, log_variance_BZ = model.apply(
        {"params": params},
        batch["inputs"],
        batch.get("targets"),
        batch.get("length_B"),
        method="encode",
        **how,
    )
    z_KBZ = mean_BZ[None] + jnp.exp(0.5 * log_variance_BZ)[None] * noise_KBZ
    return Posterior(mean_BZ, log_variance_BZ, z_KBZ)


def log_likelihood(
    model: nn.Module, params: Any, batch: Batch, z_KBZ: jax.Array, **how: Any
) -> jax.Array:
    """log p(x | z_k) in nats, [K, B]."""

    def rows(x_B):
        """K times the batch, one after the other."""
        return jnp.broadcast_to(x_B[None], (len(z_KBZ), *x_B.shape)).reshape(-1, *x_B.shape[1:])

    label_X = rows(batch["targets"]) if "targets" in batch else None
    z_XZ = z_KBZ.reshape(-1, z_KBZ.shape[-1])
    log_p_X = model.apply(
        {"params": params}, rows(batch["inputs"]), z_XZ, label_X, method="log_likelihood", **how
    )
    return log_p_X.reshape(z_KBZ.shape[:2])


def log_weights(
    model: nn.Module,
    params: Any,
    batch: Batch,
    posterior: Posterior,
    kl_weight: jax.Array | float = 1.0,
    **how: Any,
) -> tuple[jax.Array, jax.Array]:
    """(log w_k, log p(x | z_k)), both [K, B]; of w_k = p(x | z_k) (p(z_k) / q(z_k | x))^kl_weight.

    Only with a weight of 1 is the mean of w an estimate of p(x).
    """
    mean_BZ, log_variance_BZ, z_KBZ = posterior
    log_p_x_KB = log_likelihood(model, params, batch, z_KBZ, **how)
    # the normalisers of prior and posterior are the same
    of_prior_KB = -0.5 * jnp.sum(z_KBZ**2, axis=-1)
    squared_KBZ = (z_KBZ - mean_BZ[None]) ** 2 * jnp.exp(-log_variance_BZ)[None]
    of_posterior_KB = -0.5 * jnp.sum(squared_KBZ + log_variance_BZ[None], axis=-1)
    return log_p_x_KB + kl_weight * (of_prior_KB - of_posterior_KB), log_p_x_KB


def log_mean(log_w_KB: jax.Array) -> jax.Array:
    """log of the mean of w over the samples, [B]."""
    return jax.nn.logsumexp(log_w_KB, axis=0) - math.log(len(log_w_KB))
