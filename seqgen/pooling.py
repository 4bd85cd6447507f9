"""One vector for a whole sequence, out of the vectors of its real steps.

Padding has no influence, whatever it holds, and a row without a real step gives zeros. The model
`many_to_one` chooses among them by name.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

NAMES = ("mean", "max", "attention")


def mean(h_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
    """The mean over the real steps."""
    total_BD = jnp.sum(jnp.where(real_BT[..., None], h_BTD, 0), axis=1)
    return total_BD / jnp.maximum(jnp.sum(real_BT, axis=1), 1)[:, None]


def largest(h_BTD: jax.Array, real_BT: jax.Array) -> jax.Array:
    """The largest value of each unit over the real steps."""
    largest_BD = jnp.max(jnp.where(real_BT[..., None], h_BTD, -jnp.inf), axis=1)
    return jnp.where(jnp.any(real_BT, axis=1)[:, None], largest_BD, 0)


def weighted(h_BTD: jax.Array, real_BT: jax.Array, score_BT: jax.Array) -> jax.Array:
    """The mean over the real steps, weighted by the softmax of their scores."""
    # a finite lowest score, so that the softmax of a row without real steps has no 0 / 0
    lowest = jnp.finfo(score_BT.dtype).min
    weight_BT = jax.nn.softmax(jnp.where(real_BT, score_BT, lowest), axis=1)
    weight_BT = jnp.where(real_BT, weight_BT, 0)
    return jnp.sum(weight_BT[..., None] * jnp.where(real_BT[..., None], h_BTD, 0), axis=1)


def last(h_BTD: jax.Array, length_B: jax.Array | None, bidirectional: bool) -> jax.Array:
    """Where each walk ended: the last real step, and of the second half of the units the first."""
    end_B = (jnp.full(len(h_BTD), h_BTD.shape[1]) if length_B is None else length_B) - 1
    end_B11 = jnp.maximum(end_B, 0)[:, None, None]  # outputs of a row without steps are zeros
    last_BD = jnp.take_along_axis(h_BTD, end_B11, axis=1)[:, 0]
    if not bidirectional:
        return last_BD
    units = h_BTD.shape[-1] // 2
    return jnp.concatenate([last_BD[:, :units], h_BTD[:, 0, units:]], axis=-1)


class Pooling(nn.Module):
    """[B, T, D] to [B, D]: "mean", "max" or "attention".

    Attention gives each step the score u · tanh(W h_t + b), W square (Yang et al. 2016).
    """

    kind: str

    @nn.compact
    def __call__(self, h_BTD: jax.Array, length_B: jax.Array | None) -> jax.Array:
        real_BT = jnp.ones(h_BTD.shape[:2], bool)
        if length_B is not None:
            real_BT = jnp.arange(h_BTD.shape[1])[None] < length_B[:, None]
        if self.kind == "mean":
            return mean(h_BTD, real_BT)
        if self.kind == "max":
            return largest(h_BTD, real_BT)
        # zeros for padding before the weights meet it: 0 times NaN would spoil their gradient
        h_BTD = jnp.where(real_BT[..., None], h_BTD, 0)
        hidden_BTD = nn.tanh(nn.Dense(h_BTD.shape[-1], param_dtype=float, name="hidden")(h_BTD))
        score_BT1 = nn.Dense(1, use_bias=False, param_dtype=float, name="score")(hidden_BTD)
        return weighted(h_BTD, real_BT, score_BT1[..., 0])
