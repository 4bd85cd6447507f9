"""Spectral normalisation (Miyato et al. 2018): every weight matrix over its largest singular value.

Stateless: the singular vectors are found anew by power iteration from the same start, so that the
result depends on the weights alone.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp

WEIGHTS = re.compile(r"kernel|w_x|w_h")  # names of what multiplies; a kernel's last axis is out
ITERATIONS = 20  # of a random matrix they find the largest singular value but for a few hundredths


def normalised(params: Any) -> Any:
    """The parameters, each weight matrix divided by its largest singular value.

    A kernel of a convolution is the matrix from a window's numbers to the channels.
    """

    def one(path, leaf):
        name = jax.tree_util.keystr(path[-1:], simple=True)
        if not WEIGHTS.match(name):
            return leaf
        return leaf / jnp.maximum(norm(leaf.reshape(-1, leaf.shape[-1])), 1e-12)

    return jax.tree.map_with_path(one, params)


def norm(w_EF: jax.Array) -> jax.Array:
    """The largest singular value, whose gradient is the outer product of its two vectors."""
    still_EF = jax.lax.stop_gradient(w_EF)

    def closer(_, v_F):
        return unit(still_EF.T @ unit(still_EF @ v_F))

    start_F = unit(jax.random.normal(jax.random.key(0), w_EF.shape[1:], w_EF.dtype))
    v_F = jax.lax.fori_loop(0, ITERATIONS, closer, start_F)
    return unit(still_EF @ v_F) @ w_EF @ v_F


def unit(x_F: jax.Array) -> jax.Array:
    return x_F / jnp.maximum(jnp.linalg.norm(x_F), jnp.finfo(x_F.dtype).tiny)
