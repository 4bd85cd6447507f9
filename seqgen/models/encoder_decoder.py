"""Many to many through a context: an encoder reads the whole input, a decoder writes the answer.

Sutskever, Vinyals and Le 2014; with attention Bahdanau, Cho and Bengio 2015, Luong, Pham and
Manning 2015.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.answering import Context, Decoder, DecoderOptions, dropped
from seqgen.errors import UsageError
from seqgen.layers import Recurrent, Tokens
from seqgen.models import fitting


@dataclasses.dataclass(frozen=True)
class Options(DecoderOptions):
    """Encoder and decoder are stacks of the same options; only the encoder is bidirectional."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.attention == "dot" and self.bidirectional:
            yield "model.attention='dot' needs states of one width, and bidirectional doubles one"


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data without answers, sequences of their own."""
    inputs, targets = spec["inputs"], spec["targets"]
    if targets["per"] != "answer" or inputs["kind"] != "token":
        raise UsageError(
            "model encoder_decoder needs tokens and an answer of tokens to each sequence; dataset "
            f"{spec['dataset']} has {inputs['kind']} inputs and a target per {targets['per']}: "
            f"{fitting(spec)}"
        )
    return EncoderDecoder(options, inputs["size"], targets["size"])


class EncoderDecoder(nn.Module):
    """The decoder begins where the encoder ended; with attention it also looks at all states."""

    options: Options
    input_size: int
    output_size: int

    def setup(self) -> None:
        o = self.options
        self.source = Tokens(self.input_size, o.embedding_size)
        self.encoder = Recurrent(o)
        self.decoder = Decoder(o, self.output_size)
        if o.bidirectional:
            states = len(Recurrent(o, parent=None).initial_carry(1)[0][0])
            self.bridge = [
                [nn.Dense(o.hidden_size, param_dtype=float) for _ in range(states)]
                for _ in range(o.num_layers)
            ]

    def __call__(
        self,
        inputs: jax.Array,
        carry: Any = None,
        length_B: jax.Array | None = None,
        *,
        targets: jax.Array,
        own_share: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[None, jax.Array]:
        """The logits [B, T, V] of each token of the answers `targets` [B, T], given those before.

        inputs: tokens [B, S]. `own_share` of those before are the decoder's own, see `Decoder`.
        """
        del carry  # an answer goes on from nothing but its input
        context, carry = self._encode(inputs, length_B, train)
        return None, self.decoder(context, carry, targets, train, own_share)

    def start(self, inputs: dict[str, jax.Array]) -> tuple[Context | None, Any]:
        """What each row reads, and the decoder's first carry."""
        return self._encode(inputs["inputs"], inputs["length_B"], train=False)

    def step(
        self, context: Context | None, carry: Any, token_B: jax.Array
    ) -> tuple[Any, jax.Array]:
        """One token further: (carry, logits_BV) of the next. Token 0 begins an answer."""
        return self.decoder.step(context, carry, token_B)

    def alignment(
        self, inputs: jax.Array, length_B: jax.Array, targets: jax.Array
    ) -> jax.Array | None:
        """Attention weights [B, T, S] while writing the answers, None without attention."""
        return self.decoder.alignment(*self._encode(inputs, length_B, train=False), targets)

    def _encode(self, inputs, length_B, train):
        """(context, the decoder's carry) before the first token."""
        if length_B is None:
            length_B = jnp.full(inputs.shape[:1], inputs.shape[1])
        x_BSE = dropped(self, self.source(inputs), self.options.input_dropout, train)
        ends, h_BSE = self.encoder(x_BSE, length_B=length_B, train=train)
        if self.options.bidirectional:
            ends = tuple((self._bridged(n, *layer),) for n, layer in enumerate(ends))
        return self.decoder.begin(ends, h_BSE, length_B)

    def _bridged(self, layer, forward, backward):
        """A decoder layer's first carry, from the last ones of both directions."""
        both = (jnp.concatenate(pair, -1) for pair in zip(forward, backward, strict=True))
        return tuple(dense(x) for dense, x in zip(self.bridge[layer], both, strict=True))
