"""One to many: a picture is read once, and a decoder writes what it shows.

Show and Tell (Vinyals et al. 2015): the picture is the decoder's first carry. With attention Show,
Attend and Tell (Xu et al. 2015): before each word the decoder also looks at places of the picture.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import encoders
from seqgen.answering import Context, Decoder, DecoderOptions, dropped
from seqgen.errors import UsageError
from seqgen.layers import Recurrent
from seqgen.models import fitting


@dataclasses.dataclass(frozen=True)
class Options(DecoderOptions):
    encoder: str = "conv"  # conv: a map of features, or mlp: one vector, without attention
    encoder_sizes: tuple[int, ...] = (32, 64, 128)  # channels or units of each of its layers
    blind: bool = False  # zeros in place of the features: what the decoder knows by itself

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from encoders.problems(self)
        if self.encoder == "mlp" and self.attention is not None:
            yield "model.attention needs places to look at: model.encoder=conv, not mlp"
        if self.attention == "dot" and self.encoder_sizes[-1:] != (self.hidden_size,):
            yield (
                "model.attention='dot' needs the last of model.encoder_sizes equal to "
                "model.hidden_size"
            )
        if self.bidirectional:
            yield "model.bidirectional can't be used to write: what follows is not there yet"


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data that are not pictures with answers."""
    inputs, targets = spec["inputs"], spec["targets"]
    if targets["per"] != "answer" or inputs["kind"] != "image":
        raise UsageError(
            "model one_to_many needs pictures and an answer of tokens to each; dataset "
            f"{spec['dataset']} has {inputs['kind']} inputs and a target per {targets['per']}: "
            f"{fitting(spec)}"
        )
    return OneToMany(options, targets["size"])


class Places(nn.Module):
    """Adds to the features of each place what is learned of that place: where it is."""

    @nn.compact
    def __call__(self, values_BSE: jax.Array) -> jax.Array:
        init = nn.initializers.normal(0.1)
        return values_BSE + self.param("place_SE", init, values_BSE.shape[1:], float)[None]


class OneToMany(nn.Module):
    """Each state of the first carry is tanh(W v + b), v being the features of the picture.

    Without attention those of all places one after the other, with it their mean. What attention
    looks at tells where it is, see `Places`.
    """

    options: Options
    output_size: int

    def setup(self) -> None:
        o = self.options
        if not o.blind:
            self.encoder = encoders.make(o.encoder, o.encoder_sizes, nn.relu, normalize=True)
        if o.attention is not None:
            self.places = Places()
        self.decoder = Decoder(o, self.output_size)
        states = len(Recurrent(o, parent=None).initial_carry(1)[0][0])
        self.first = [
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

        inputs: pictures [B, H, W, C]. Of several answers [B, K, T] to each the logits are
        [B, K, T, V]. `own_share` of the tokens before are the decoder's own, see `Decoder`.
        """
        del carry, length_B  # a picture has neither a past nor a length
        return None, self.decoder(*self._encode(inputs, train), targets, train, own_share)

    def start(self, inputs: dict[str, jax.Array]) -> tuple[Context | None, Any]:
        """What the decoder may look at, and its first carry."""
        return self._encode(inputs["inputs"], train=False)

    def step(
        self, context: Context | None, carry: Any, token_B: jax.Array
    ) -> tuple[Any, jax.Array]:
        """One token further: (carry, logits_BV) of the next. Token 0 begins an answer."""
        return self.decoder.step(context, carry, token_B)

    def alignment(self, inputs: jax.Array, length_B: None, targets: jax.Array) -> jax.Array | None:
        """Attention weights [B, T, h, w] while writing the answers, None without attention."""
        del length_B  # a picture has none
        weights_BTS = self.decoder.alignment(*self._encode(inputs, train=False), targets)
        if weights_BTS is None or self.options.blind:
            return None
        sides = (encoders.map_side(n, self.options.encoder_sizes) for n in inputs.shape[1:3])
        return weights_BTS.reshape(*weights_BTS.shape[:2], *sides)

    def _encode(self, inputs, train):
        """(context, the decoder's carry) before the first token."""
        o, rows = self.options, inputs.shape[0]
        if o.blind:
            values_BSE = jnp.zeros((rows, 1, o.encoder_sizes[-1]), inputs.dtype)
        else:
            values_BSE = self.encoder(inputs).reshape(rows, -1, o.encoder_sizes[-1])
        values_BSE = dropped(self, values_BSE, o.input_dropout, train)
        whole_BF = values_BSE.reshape(rows, -1)
        if o.attention is not None:
            whole_BF = jnp.mean(values_BSE, axis=1)
            values_BSE = self.places(values_BSE)
        cells = tuple(
            (tuple(jnp.tanh(dense(whole_BF)) for dense in layer),) for layer in self.first
        )
        return self.decoder.begin(cells, values_BSE, jnp.full(rows, values_BSE.shape[1]))
