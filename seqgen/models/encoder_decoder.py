"""Many to many through a context: an encoder reads the whole input, a decoder writes the answer.

Sutskever, Vinyals and Le 2014; with attention Bahdanau, Cho and Bengio 2015, Luong, Pham and
Manning 2015.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.attention import SCORES, Attention
from seqgen.errors import UsageError, not_among, out_of_range
from seqgen.layers import Recurrent, RecurrentOptions, Tokens, dropout


@dataclasses.dataclass(frozen=True)
class Options(RecurrentOptions):
    """Encoder and decoder are stacks of the same options; only the encoder is bidirectional."""

    embedding_size: int = 128  # of the tokens on either side
    attention: str | None = "general"  # dot, general, additive; None: the last state is all
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
        if self.attention == "dot" and self.bidirectional:
            yield "model.attention='dot' needs states of one width, and bidirectional doubles one"
        if (
            self.tie_embedding
            and self.attention is None
            and self.embedding_size != self.hidden_size
        ):
            yield (
                "model.tie_embedding without attention needs model.embedding_size equal to "
                "model.hidden_size"
            )


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data without answers, sequences of their own."""
    inputs, targets = spec["inputs"], spec["targets"]
    if targets["per"] != "answer" or inputs["kind"] != "token":
        raise UsageError(
            "model encoder_decoder needs tokens and an answer of tokens to each sequence; dataset "
            f"{spec['dataset']} has {inputs['kind']} inputs and a target per {targets['per']}"
        )
    return EncoderDecoder(options, inputs["size"], targets["size"])


class Context(NamedTuple):
    """What the decoder may look at."""

    keys: jax.Array | None  # [B, S, D], None without attention
    values: jax.Array  # [B, S, E]
    length: jax.Array  # [B]


class EncoderDecoder(nn.Module):
    """With attention the decoder writes from tanh(W [h_t; what h_t attends to]), else from h_t."""

    options: Options
    input_size: int
    output_size: int

    def setup(self) -> None:
        o = self.options
        self.source = Tokens(self.input_size, o.embedding_size)
        self.target = Tokens(self.output_size, o.embedding_size)
        self.encoder = Recurrent(o)
        self.decoder = Recurrent(dataclasses.replace(o, bidirectional=False))
        if o.bidirectional:
            states = len(Recurrent(o, parent=None).initial_carry(1)[0][0])
            self.bridge = [
                [nn.Dense(o.hidden_size, param_dtype=float) for _ in range(states)]
                for _ in range(o.num_layers)
            ]
        if o.attention is not None:
            self.attention = Attention(o.attention, o.hidden_size)
            self.combine = nn.Dense(self._width(), param_dtype=float)
        if not o.tie_embedding:
            self.output = nn.Dense(self.output_size, param_dtype=float)

    def _width(self) -> int:
        """Of what the output layer reads."""
        o = self.options
        return o.embedding_size if o.tie_embedding and o.attention is not None else o.hidden_size

    def __call__(
        self,
        inputs: jax.Array,
        carry: Any = None,
        length_B: jax.Array | None = None,
        *,
        targets: jax.Array,
        train: bool = False,
    ) -> tuple[None, jax.Array]:
        """The logits [B, T, V] of each token of the answers `targets` [B, T], given those before.

        inputs: tokens [B, S]. An answer begins after token 0 and ends with it.
        """
        del carry  # an answer goes on from nothing but its input
        context, (carry, fed_BW) = self._encode(inputs, length_B, train)
        before_BT = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
        x_BTE = self._dropped(self.target(before_BT), self.options.input_dropout, train)
        if fed_BW is None:
            _, h_BTD = self.decoder(x_BTE, carry, train=train)
            vector_BTW, _ = self._read(context, h_BTD)
        else:
            walk = nn.scan(
                lambda module, carry, x_BE: module._advance(context, carry, x_BE, train),
                variable_broadcast="params",
                split_rngs={"params": False, "dropout": False},  # one dropout mask for all steps
                in_axes=1,
                out_axes=1,
            )
            _, vector_BTW = walk(self, (carry, fed_BW), x_BTE)
        return None, self._logits(self._dropped(vector_BTW, self.options.output_dropout, train))

    def start(self, inputs: dict[str, jax.Array]) -> tuple[Context, Any]:
        """What each row reads, and the decoder's first carry."""
        return self._encode(inputs["inputs"], inputs["length_B"], train=False)

    def step(self, context: Context, carry: Any, token_B: jax.Array) -> tuple[Any, jax.Array]:
        """One token further: (carry, logits_BV) of the next. Token 0 begins an answer."""
        carry, vector_BW = self._advance(context, carry, self.target(token_B), train=False)
        return carry, self._logits(vector_BW)

    def alignment(
        self, inputs: jax.Array, length_B: jax.Array, targets: jax.Array
    ) -> jax.Array | None:
        """Attention weights [B, T, S] while writing the answers, None without attention."""
        context, carry = self._encode(inputs, length_B, train=False)

        def one_step(module, carry, x_BE):
            (cells, _), h_BD = module._stepped(carry, x_BE, train=False)
            vector_B1W, weights_B1S = module._read(context, h_BD[:, None])
            return module._next(cells, vector_B1W[:, 0]), weights_B1S[:, 0]

        if self.options.attention is None:
            return None
        before_BT = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)))
        walk = nn.scan(one_step, variable_broadcast="params", split_rngs={}, in_axes=1, out_axes=1)
        return walk(self, carry, self.target(before_BT))[1]

    def _encode(self, inputs, length_B, train):
        """(context, (the decoder's carry, what it was fed or None)) before the first token."""
        if length_B is None:
            length_B = jnp.full(inputs.shape[:1], inputs.shape[1])
        x_BSE = self._dropped(self.source(inputs), self.options.input_dropout, train)
        ends, h_BSE = self.encoder(x_BSE, length_B=length_B, train=train)
        if self.options.bidirectional:
            ends = tuple((self._bridged(n, *layer),) for n, layer in enumerate(ends))
        attends = self.options.attention is not None
        context = Context(self.attention.keys(h_BSE) if attends else None, h_BSE, length_B)
        return context, self._next(ends, jnp.zeros((inputs.shape[0], self._width()), h_BSE.dtype))

    def _bridged(self, layer, forward, backward):
        """A decoder layer's first carry, from the last ones of both directions."""
        both = (jnp.concatenate(pair, -1) for pair in zip(forward, backward, strict=True))
        return tuple(dense(x) for dense, x in zip(self.bridge[layer], both, strict=True))

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
        cells, h_B1D = self.decoder(x_BE[:, None], cells, train=train)
        return (cells, fed_BW), h_B1D[:, 0]

    def _read(self, context, h_BTD):
        """(what the output layer reads [B, T, W], attention weights [B, T, S])."""
        if self.options.attention is None:
            return h_BTD, None
        read_BTE, weights_BTS = self.attention(h_BTD, *context)
        return jnp.tanh(self.combine(jnp.concatenate([h_BTD, read_BTE], -1))), weights_BTS

    def _logits(self, vector_XW):
        o = self.options
        return self.target.attend(vector_XW) if o.tie_embedding else self.output(vector_XW)

    def _dropped(self, x_BTE, rate, train):
        if not train or rate is None:
            return x_BTE
        return dropout(x_BTE, rate, self.make_rng("dropout"), shared_axes=(1,))
