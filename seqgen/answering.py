"""The decoder that writes an answer token by token, reading what an encoder left for it.

`models/encoder_decoder.py` gives it a sequence's states, `models/one_to_many.py` a picture's
features. An answer begins after token 0 and ends with it.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.attention import SCORES, Attention
from seqgen.errors import not_among, out_of_range
from seqgen.layers import Recurrent, RecurrentOptions, Tokens, dropout

# of a walk step by step: one dropout mask for all steps, but each step holds units of its own
RNGS = {"params": False, "dropout": False, "zoneout": True}


@dataclasses.dataclass(frozen=True)
class DecoderOptions(RecurrentOptions):
    """What every model that answers can choose of its decoder."""

    embedding_size: int = 128  # of tokens
    attention: str | None = "general"  # dot, general, additive; None: the first carry is all
    input_feeding: bool = False  # the decoder also reads what its last step wrote from
    tie_embedding: bool = False  # the output weights are the answer's embedding
    input_dropout: float | None = None  # share of input features zeroed, one mask for all steps
    output_dropout: float | None = None  # share of units zeroed before the output layer

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from not_among(self, "model.", attention=SCORES)
        yield from out_of_range(
            self,
            "model.",
            embedding_size="[1, inf)",
            input_dropout="[0, 1)",
            output_dropout="[0, 1)",
        )
        if (
            self.tie_embedding
            and self.attention is None
            and self.embedding_size != self.hidden_size
        ):
            yield (
                "model.tie_embedding without attention needs model.embedding_size equal to "
                "model.hidden_size"
            )


class Context(NamedTuple):
    """What the decoder may look at."""

    keys: jax.Array  # [B, S, D]
    values: jax.Array  # [B, S, E]
    length: jax.Array  # [B]


class Decoder(nn.Module):
    """With attention it writes from tanh(W [h_t; what h_t attends to]), else from h_t."""

    options: DecoderOptions
    output_size: int

    def setup(self) -> None:
        o = self.options
        self.target = Tokens(self.output_size, o.embedding_size)
        self.recurrent = Recurrent(dataclasses.replace(o, bidirectional=False))
        if o.attention is not None:
            self.attention = Attention(o.attention, o.hidden_size)
            self.combine = nn.Dense(self._width(), param_dtype=float)
        if not o.tie_embedding:
            self.output = nn.Dense(self.output_size, param_dtype=float)

    def _width(self) -> int:
        """Of what the output layer reads."""
        o = self.options
        return o.embedding_size if o.tie_embedding and o.attention is not None else o.hidden_size

    def begin(
        self, cells: Any, values_BSE: jax.Array, length_B: jax.Array
    ) -> tuple[Context | None, Any]:
        """(context, carry) before the first token.

        cells: the first carry of the recurrent stack. The values are for attention: without it the
        context is None.
        """
        attends = self.options.attention is not None
        context = (
            Context(self.attention.keys(values_BSE), values_BSE, length_B) if attends else None
        )
        return context, self._next(
            cells, jnp.zeros((len(length_B), self._width()), values_BSE.dtype)
        )

    def __call__(
        self,
        context: Context | None,
        carry: Any,
        targets: jax.Array,
        train: bool,
        own_share: jax.Array | None = None,
    ) -> jax.Array:
        """The logits [B, T, V] of each token of the answers [B, T], given those before.

        Of several answers [B, K, T] to the same input the logits are [B, K, T, V]. `own_share` of
        the tokens before are not the answer's, but drawn from what the decoder itself would write
        there: scheduled sampling (Bengio et al. 2015), which has no gradient through the draws.
        """
        if targets.ndim == 3:
            num = targets.shape[1]
            context, carry = jax.tree.map(lambda x: jnp.repeat(x, num, axis=0), (context, carry))
            logits_XTV = self(
                context, carry, targets.reshape(-1, targets.shape[2]), train, own_share
            )
            return logits_XTV.reshape(*targets.shape, -1)
        before_BT = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
        if own_share is not None:
            return self._sampled(context, carry, before_BT, train, own_share)
        x_BTE = dropped(self, self.target(before_BT), self.options.input_dropout, train)
        cells, fed_BW = carry
        if fed_BW is None:
            _, h_BTD = self.recurrent(x_BTE, cells, train=train)
            vector_BTW, _ = self._read(context, h_BTD)
        else:
            walk = nn.scan(
                lambda module, carry, x_BE: module._advance(context, carry, x_BE, train),
                variable_broadcast="params",
                split_rngs=RNGS,
                in_axes=1,
                out_axes=1,
            )
            _, vector_BTW = walk(self, carry, x_BTE)
        return self._logits(dropped(self, vector_BTW, self.options.output_dropout, train))

    def _sampled(self, context, carry, before_BT, train, own_share):
        """The logits [B, T, V] where a share of the tokens before are the decoder's own."""
        o = self.options
        key_own, key_draws = jax.random.split(self.make_rng("dropout"))
        is_own_BT = jax.random.bernoulli(key_own, own_share, before_BT.shape).at[:, 0].set(False)
        keys_T = jax.random.split(key_draws, before_BT.shape[1])

        def one_step(module, state, inputs):
            carry, own_B = state
            before_B, is_own_B, key = inputs
            token_B1 = jnp.where(is_own_B, own_B, before_B)[:, None]
            x_B1E = dropped(module, module.target(token_B1), o.input_dropout, train)
            carry, vector_BW = module._advance(context, carry, x_B1E[:, 0], train)
            vector_B1W = dropped(module, vector_BW[:, None], o.output_dropout, train)
            logits_BV = module._logits(vector_B1W[:, 0])
            return (carry, jax.random.categorical(key, logits_BV)), logits_BV

        walk = nn.scan(
            one_step,
            variable_broadcast="params",
            split_rngs=RNGS,
            in_axes=((1, 1, 0),),
            out_axes=1,
        )
        return walk(self, (carry, before_BT[:, 0]), (before_BT, is_own_BT, keys_T))[1]

    def step(
        self, context: Context | None, carry: Any, token_B: jax.Array
    ) -> tuple[Any, jax.Array]:
        """One token further: (carry, logits_BV) of the next. Token 0 begins an answer."""
        carry, vector_BW = self._advance(context, carry, self.target(token_B), train=False)
        return carry, self._logits(vector_BW)

    def alignment(
        self, context: Context | None, carry: Any, targets: jax.Array
    ) -> jax.Array | None:
        """Attention weights [B, T, S] while writing the answers [B, T], None without attention."""

        def one_step(module, carry, x_BE):
            (cells, _), h_BD = module._stepped(carry, x_BE, train=False)
            vector_B1W, weights_B1S = module._read(context, h_BD[:, None])
            return module._next(cells, vector_B1W[:, 0]), weights_B1S[:, 0]

        if context is None:
            return None
        before_BT = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
        walk = nn.scan(one_step, variable_broadcast="params", split_rngs={}, in_axes=1, out_axes=1)
        return walk(self, carry, self.target(before_BT))[1]

    def _next(self, cells, vector_BW):
        """The carry: the recurrent one, and what the next step is fed."""
        return cells, vector_BW if self.options.input_feeding else None

    def _advance(self, context, carry, x_BE, train):
        (cells, _), h_BD = self._stepped(carry, x_BE, train)
        vector_B1W, _ = self._read(context, h_BD[:, None])
        return self._next(cells, vector_B1W[:, 0]), vector_B1W[:, 0]

    def _stepped(self, carry, x_BE, train):
        cells, fed_BW = carry
        if fed_BW is not None:
            x_BE = jnp.concatenate([x_BE, fed_BW], axis=-1)
        cells, h_B1D = self.recurrent(x_BE[:, None], cells, train=train)
        return (cells, fed_BW), h_B1D[:, 0]

    def _read(self, context, h_BTD):
        """(what the output layer reads [B, T, W], attention weights [B, T, S])."""
        if context is None:
            return h_BTD, None
        read_BTE, weights_BTS = self.attention(h_BTD, *context)
        return jnp.tanh(self.combine(jnp.concatenate([h_BTD, read_BTE], -1))), weights_BTS

    def _logits(self, vector_XW):
        o = self.options
        return self.target.attend(vector_XW) if o.tie_embedding else self.output(vector_XW)


def dropped(module: nn.Module, x_BTE: jax.Array, rate: float | None, train: bool) -> jax.Array:
    """Dropout with one mask for all steps, drawn by the module when training."""
    if not train or rate is None:
        return x_BTE
    return dropout(x_BTE, rate, module.make_rng("dropout"), shared_axes=(1,))
