"""Attention: a query reads a sequence of values, a weighted mean of those it matches.

`answering.py` queries what an encoder left with the states of a decoder.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

SCORES = ("additive", "dot", "general")


class Attention(nn.Module):
    """Scores each value against the query, and returns their mean under a softmax of the scores.

        dot       q . v                    (Luong, Pham and Manning 2015), queries as wide as values
        general   q . W v                  (the same)
        additive  w . tanh(W_q q + W_v v)  (Bahdanau, Cho and Bengio 2015)

    What depends on the values alone, their keys, is computed once for all queries.
    """

    score: str
    query_size: int

    def setup(self) -> None:
        if self.score != "dot":
            self.to_key = nn.Dense(self.query_size, use_bias=False, param_dtype=float)
        if self.score == "additive":
            self.to_query = nn.Dense(self.query_size, param_dtype=float)
            init = nn.initializers.lecun_normal()
            self.weights = self.param("weights", init, (self.query_size, 1), float)

    def keys(self, values_BSE: jax.Array) -> jax.Array:
        """The keys [B, S, D] of values [B, S, E]."""
        return values_BSE if self.score == "dot" else self.to_key(values_BSE)

    def __call__(
        self, query_BTD: jax.Array, keys_BSD: jax.Array, values_BSE: jax.Array, length_B: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the means [B, T, E] and their weights [B, T, S].

        Values past a row's length have weight exactly zero; where there is none, so has the mean.
        """
        if self.score == "additive":
            hidden_BTSD = self.to_query(query_BTD)[:, :, None] + keys_BSD[:, None]
            score_BTS = (jnp.tanh(hidden_BTSD) @ self.weights)[..., 0]
        else:
            score_BTS = jnp.einsum("btd,bsd->bts", query_BTD, keys_BSD)
        real_B1S = (jnp.arange(values_BSE.shape[1])[None] < length_B[:, None])[:, None]
        weights_BTS = masked_softmax(score_BTS, real_B1S)
        return jnp.einsum("bts,bse->bte", weights_BTS, values_BSE), weights_BTS


def masked_softmax(score_XS: jax.Array, real_XS: jax.Array) -> jax.Array:
    """Softmax over the last axis among the real entries; zeros where there is none."""
    score_XS = jnp.where(real_XS, score_XS, -jnp.inf)
    largest_X1 = jnp.max(score_XS, axis=-1, keepdims=True)
    # where nothing is real the largest is -inf, and -inf - -inf would be NaN
    largest_X1 = jax.lax.stop_gradient(jnp.where(jnp.isfinite(largest_X1), largest_X1, 0))
    mass_XS = jnp.where(real_XS, jnp.exp(jnp.where(real_XS, score_XS - largest_X1, 0)), 0)
    total_X1 = jnp.sum(mass_XS, axis=-1, keepdims=True)
    return mass_XS / jnp.where(total_X1 > 0, total_X1, 1)
