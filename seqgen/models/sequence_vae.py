"""Variational autoencoder of whole sentences (Bowman et al. 2016): tokens to z, and z to tokens.

The decoder is a language model that begins from z and reads it at every step. One that predicts
well from the words before has no use for z: what is done about it is here word dropout, and in
`objectives/elbo.py` KL warm-up and free bits.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import pooling
from seqgen.errors import UsageError, out_of_range
from seqgen.layers import Recurrent, RecurrentOptions, Tokens
from seqgen.models.vae import bounded


@dataclasses.dataclass(frozen=True)
class Options(RecurrentOptions):
    """Encoder and decoder are stacks of the same options; only the encoder is bidirectional."""

    latent_size: int = 16  # numbers of the latent vector
    embedding_size: int = 64  # of tokens, which both networks read alike
    word_dropout: float | None = None  # share of the words before that the decoder trains without

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from out_of_range(
            self,
            "model.",
            latent_size="[1, inf)",
            embedding_size="[1, inf)",
            word_dropout="[0, 1]",
        )


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data that are no sentences, sequences of tokens with an end."""
    inputs = spec["inputs"]
    if not {"end", "unknown"} <= inputs.keys():
        raise UsageError(
            "model sequence_vae needs sentences, tokens with an end and one for unknown words: "
            f"use dataset sentences, not {spec['dataset']}"
        )
    if inputs["end"] != 0:
        raise UsageError(f"token {inputs['end']} ends a sentence of {spec['dataset']}, 0 must")
    return SequenceVAE(options, inputs["size"], inputs["unknown"])


class SequenceVAE(nn.Module):
    """Sentences [B, T] end with token 0, and what is behind it has no influence."""

    options: Options
    size: int  # of the vocabulary
    unknown: int  # the token in place of a word that is dropped

    def setup(self) -> None:
        o = self.options
        self.tokens = Tokens(self.size, o.embedding_size)
        self.encoder = Recurrent(o)
        self.mean = nn.Dense(o.latent_size, param_dtype=float)
        self.log_variance = nn.Dense(
            o.latent_size, param_dtype=float, kernel_init=nn.initializers.zeros
        )
        decoder = dataclasses.replace(o, bidirectional=False)
        self.decoder = Recurrent(decoder)
        states = len(Recurrent(decoder, parent=None).initial_carry(1)[0][0])
        self.begin = [
            [nn.Dense(o.hidden_size, param_dtype=float) for _ in range(states)]
            for _ in range(o.num_layers)
        ]
        self.output = nn.Dense(self.size, param_dtype=float)

    def __call__(self, x: jax.Array, label_B: jax.Array | None = None) -> jax.Array:
        """log p(x | z) at the mean of q(z | x), [B]: touches every parameter."""
        mean_BZ, _ = self.encode(x)
        return self.log_likelihood(x, mean_BZ)

    def encode(
        self,
        x: jax.Array,
        label_B: jax.Array | None = None,
        length_B: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        """(mean, log-variance) of q(z | x), both [B, Z]; the tokens tell the length, their end."""
        del label_B, length_B
        length_B = jnp.sum(real(x), axis=1)
        _, h_BTD = self.encoder(self.tokens(x), length_B=length_B, train=train)
        features_BF = pooling.last(h_BTD, length_B, self.options.bidirectional)
        return self.mean(features_BF), bounded(self.log_variance(features_BF))

    def log_likelihood(
        self,
        x: jax.Array,
        z_BZ: jax.Array,
        label_B: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """log p(x | z) in nats, summed over the tokens up to the end and with it, [B]."""
        del label_B
        before_BT = jnp.pad(x[:, :-1], ((0, 0), (1, 0)))
        if train and self.options.word_dropout is not None:
            rate = self.options.word_dropout
            gone_BT = jax.random.bernoulli(self.make_rng("dropout"), rate, x.shape)
            # the first reads no word, but that it is the first
            before_BT = jnp.where(gone_BT.at[:, 0].set(False), self.unknown, before_BT)
        z_BTZ = jnp.broadcast_to(z_BZ[:, None], (*x.shape, z_BZ.shape[-1]))
        read_BTE = jnp.concatenate([self.tokens(before_BT), z_BTZ], axis=-1)
        _, h_BTD = self.decoder(read_BTE, self._carry(z_BZ), train=train)
        log_p_BTV = jax.nn.log_softmax(self.output(h_BTD), axis=-1)
        own_BT = jnp.take_along_axis(log_p_BTV, x[..., None], axis=-1)[..., 0]
        return jnp.sum(jnp.where(real(x), own_BT, 0.0), axis=1)

    def start(self, inputs: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
        """(context, carry) of the sentences of the latent vectors `inputs["z"]`, [B, Z]."""
        return inputs["z"], self._carry(inputs["z"])

    def step(self, context: jax.Array, carry: Any, token_B: jax.Array) -> tuple[Any, jax.Array]:
        """One token further: (carry, logits_BV) of the next. Token 0 begins a sentence."""
        read_BE = jnp.concatenate([self.tokens(token_B), context], axis=-1)
        carry, h_B1D = self.decoder(read_BE[:, None], carry)
        return carry, self.output(h_B1D[:, 0])

    def _carry(self, z_BZ):
        return tuple(
            (tuple(jnp.tanh(dense(z_BZ)) for dense in layer),)  # of the one direction
            for layer in self.begin
        )


def real(x_BT: jax.Array) -> jax.Array:
    """Whether each token belongs to its sentence: up to the first 0, and that too."""
    ended_BT = jnp.cumsum(x_BT == 0, axis=1) > 0
    return ~jnp.pad(ended_BT[:, :-1], ((0, 0), (1, 0)))
