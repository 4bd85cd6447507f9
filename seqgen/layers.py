"""Flax modules made of cells: stacks of recurrent layers, in one direction or both.

A layer declares its parameters and calls the pure `recurrence.unroll`; models are built from it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import cells, recurrence
from seqgen.errors import UsageError, not_among, out_of_range

_normal = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
RECURRENT_INITS = {
    "orthogonal": nn.initializers.orthogonal(),
    "identity": lambda key, shape: jnp.eye(*shape),
    # a draw of "normal", a tenth of it, beside the identity
    "noisy_identity": lambda key, shape: jnp.eye(*shape) + 0.1 * _normal(key, shape),
    "glorot": nn.initializers.glorot_uniform(),
    "normal": _normal,
}
PRODUCT_DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class RecurrentOptions:
    """A stack of recurrent layers."""

    cell: str = "lstm"  # rnn, lstm, gru, min_gru, or MODULE:NAME, a Cell of your own
    activation: str = "tanh"  # of "rnn": any elementwise function of jax.nn or jax.numpy
    hidden_size: int = 128  # units per layer and direction
    num_layers: int = 1
    # of each gate: orthogonal, identity, noisy_identity, glorot, normal
    recurrent_init: str = "orthogonal"
    recurrent_scale: float = 1.0  # factor on it
    forget_bias: float = 1.0  # initial bias of a gate named forget
    chrono_max: int | None = None  # longest dependency, in steps, for chrono initialisation
    residual: bool = False  # add a layer's input to its output where the widths agree
    bidirectional: bool = False  # a second walk from the last step; its outputs are appended
    normalize: bool = False  # layer normalisation of the recurrent gates
    dropout: float | None = None  # between layers: share of units zeroed, one mask for all steps
    zoneout: float | None = None  # share of units that keep their old state in a step
    product_dtype: str | None = None  # of the matrix products' operands: bfloat16, float16, float32
    backward: str = "chunked"  # or autodiff: also forward mode and higher orders
    parallel: bool = False  # associative scan, for cells without a recurrent product

    def problems(self) -> Iterator[str]:
        """What is wrong with these options, one sentence each."""
        yield from not_among(
            self,
            prefix="model.",
            recurrent_init=RECURRENT_INITS,
            backward=recurrence.BACKWARDS,
            product_dtype=PRODUCT_DTYPES,
        )
        yield from out_of_range(
            self,
            prefix="model.",
            hidden_size="[1, inf)",
            num_layers="[1, inf)",
            chrono_max="[3, inf)",
            dropout="[0, 1)",
            zoneout="[0, 1)",
        )
        try:
            cell = cells.named(self.cell, self.activation)
        except UsageError as error:
            yield str(error)
            return
        if self.chrono_max is not None and not {"forget", "update", "store"} & set(cell.gates):
            yield f"model.chrono_max needs gates that keep or store, and {self.cell} has none"
        if self.normalize and cell.affine is not None:
            yield f"model.normalize needs recurrent gates, and {self.cell} has none"
        if self.parallel and cell.affine is None:
            yield f"model.parallel needs a cell without recurrent product, not {self.cell}"


class Recurrent(nn.Module):
    """Layers of one cell, each reading the outputs of the one below.

    Random numbers come from the rngs "dropout" and "zoneout", when training with those options: a
    walk of many calls has one dropout mask for all of them, and a zoneout mask for each.
    """

    options: RecurrentOptions

    def initial_carry(self, batch_size: int) -> Any:
        """Zeros [B, D]: a tuple by layer of a tuple by direction of the cell's carry."""
        o = self.options
        one = recurrence.initial_carry(self._cell(), batch_size, o.hidden_size)
        return (((one,) * (1 + o.bidirectional)),) * o.num_layers

    @nn.compact
    def __call__(
        self,
        x_BTE: jax.Array,
        carry: Any = None,
        *,
        length_B: jax.Array | None = None,
        reset_BT: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[Any, jax.Array]:
        """Runs the stack over a batch of sequences; T = 1 is one step of decoding.

        Args:
          x_BTE: inputs.
          carry: where the rows start, as from `initial_carry` or an earlier call; None is zeros.
          length_B: real steps in each row. Padding yields zeros and has no influence.
          reset_BT: True where a row starts a new sequence: no state crosses that boundary.
          train: draw dropout and zoneout; if not, zoneout takes its expectation.

        Returns:
          The last carry, and h_BTD: [B, T, 2 D] if bidirectional.
        """
        o = self.options
        carry = self.initial_carry(x_BTE.shape[0]) if carry is None else carry
        last = []
        for layer in range(o.num_layers):
            if layer > 0 and train and o.dropout is not None:
                x_BTE = dropout(x_BTE, o.dropout, self.make_rng("dropout"), shared_axes=(1,))
            ends, outputs = [], []
            for reverse, start in zip((False, True), carry[layer], strict=False):
                name = f"layer_{layer}_reverse" if reverse else f"layer_{layer}"
                walk = Direction(o, self._cell(), reverse, name=name)
                end, h_BTD = walk(x_BTE, start, length_B, reset_BT, train)
                ends.append(end)
                outputs.append(h_BTD)
            h_BTD = jnp.concatenate(outputs, axis=-1) if o.bidirectional else outputs[0]
            if o.residual and h_BTD.shape == x_BTE.shape:
                h_BTD += x_BTE if length_B is None else jnp.where(_real(length_B, x_BTE), x_BTE, 0)
            x_BTE = h_BTD
            last.append(tuple(ends))
        return tuple(last), x_BTE

    def _cell(self) -> cells.Cell:
        return cells.named(self.options.cell, self.options.activation)


class Direction(nn.Module):
    """The parameters of one walk of a cell in one direction; called as `Recurrent` is."""

    options: RecurrentOptions  # `cell` is the one that they name
    cell: cells.Cell
    reverse: bool

    @nn.compact
    def __call__(self, x_BTE, carry, length_B, reset_BT, train):
        o, cell = self.options, self.cell
        units, width = o.hidden_size, cell.num_gates * o.hidden_size
        params = {
            "w_x_EG": self.param(
                "w_x_EG", nn.initializers.lecun_normal(), (x_BTE.shape[-1], width)
            ),
            "b_G": self.param("b_G", lambda key: _initial_bias(key, o, cell)),
        }
        if cell.affine is None:
            init = lambda key: _initial_recurrent(key, o, cell)  # noqa: E731
            params["w_h_DG"] = self.param("w_h_DG", init)
            if not cell.additive:
                params["b_h_G"] = self.param("b_h_G", nn.initializers.zeros, (width,))
        if self.reverse and reset_BT is not None:
            # walking back, the boundary is passed after the new sequence's first step
            reset_BT = jnp.pad(reset_BT[:, 1:], ((0, 0), (0, 1)))
        return recurrence.unroll(
            cell,
            params,
            x_BTE,
            carry,
            length_B=length_B,
            hold=self._zoneout((*x_BTE.shape[:2], units), train),
            reset=reset_BT,
            normalize=self._normalize(cell, width),
            reverse=self.reverse,
            backward=o.backward,
            parallel=o.parallel,
            product_dtype=o.product_dtype,
        )

    def _zoneout(self, shape, train):
        """Which units keep their state: drawn, or how much they keep.

        A unit keeps all its states or none; Krueger et al. 2017 draw c's and h's masks apart.
        """
        rate = self.options.zoneout
        if rate is None:
            return None
        if train:
            return jax.random.bernoulli(self.make_rng("zoneout"), rate, shape)
        return jnp.full((*shape[:2], 1), rate)

    def _normalize(self, cell, width):
        """Layer normalisation of h W_h over the gates of an example, Ba, Kiros and Hinton 2016."""
        if not self.options.normalize:
            return None
        scale_G = self.param("scale_G", nn.initializers.ones, (width,))

        def normalize(gates_BG):
            centred = gates_BG - gates_BG.mean(-1, keepdims=True)
            variance = jnp.square(centred).mean(-1, keepdims=True)
            return centred * jax.lax.rsqrt(variance + 1e-5) * scale_G[None]

        return normalize


class Tokens(nn.Module):
    """Token ids as features of mean square one, like any other input of a layer.

    One-hot vectors, or rows of a learned table, would else reach the gates at 1/sqrt(V) or
    1/sqrt(E) of the size that the initial weights are made for.
    """

    vocabulary_size: int
    embedding_size: int | None  # None: one-hot

    def setup(self) -> None:
        if self.embedding_size is not None:
            self.table = nn.Embed(self.vocabulary_size, self.embedding_size, param_dtype=float)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Ids [...] to features [..., E], E being V for one-hot."""
        if self.embedding_size is None:
            one_hot = jax.nn.one_hot(tokens, self.vocabulary_size, dtype=jnp.result_type(float))
            return math.sqrt(self.vocabulary_size) * one_hot
        return math.sqrt(self.embedding_size) * self.table(tokens)

    def attend(self, h: jax.Array) -> jax.Array:
        """Logits [..., V] of features [..., E] by the table itself (Press and Wolf 2017)."""
        return self.table.attend(h)


def dropout(x: jax.Array, rate: float, key: jax.Array, shared_axes: tuple[int, ...] = ()):
    """Zeroes a share of the elements and scales up the rest; one mask along the shared axes.

    Sharing the time axis is the variational dropout of Gal and Ghahramani 2016. `rate` may be
    traced, which Flax's own Dropout does not allow.
    """
    shape = [1 if axis in shared_axes else size for axis, size in enumerate(x.shape)]
    keep = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(keep, x / (1 - rate), 0)


def _real(length_B, x_BTE):
    return jnp.arange(x_BTE.shape[1])[None, :, None] < length_B[:, None, None]


def _initial_recurrent(key, options, cell):
    """w_h_DG: each gate's own square matrix, of spectral radius about `recurrent_scale`."""
    init, square = RECURRENT_INITS[options.recurrent_init], (options.hidden_size,) * 2
    keys = jax.random.split(key, cell.num_gates)
    return options.recurrent_scale * jnp.concatenate([init(k, square) for k in keys], axis=-1)


def _initial_bias(key, options, cell):
    """b_G: zeros; a forget gate's own bias; or chrono initialisation, Tallec and Ollivier 2018.

    Chrono draws how long each unit remembers, up to `chrono_max` steps: with u uniform in
    [1, chrono_max - 1], gates that keep the old state (forget, GRU's update) start at log u, those
    that admit the new one at -log u.
    """
    zeros = jnp.zeros(options.hidden_size)
    if options.chrono_max is None:
        initial = {"forget": zeros + options.forget_bias}
    else:
        u = jax.random.uniform(key, zeros.shape, minval=1.0, maxval=options.chrono_max - 1.0)
        initial = {"forget": jnp.log(u), "update": jnp.log(u), "store": -jnp.log(u)}
    return jnp.concatenate([initial.get(gate, zeros) for gate in cell.gates])
