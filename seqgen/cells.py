"""One time step of a recurrent network: the arithmetic of the gates and nothing else.

The two matrix products of a step, x_t W_x + b and h_{t-1} W_h, are linear and the same for every
cell, so they belong to `chunks.py`, which hoists, chunks and differentiates them for all cells at
once. A cell is elementwise in its units, and so is its derivative.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import diagonal, own
from seqgen.errors import UsageError, unknown

Carry = tuple[jax.Array, ...]


class Cell(NamedTuple):
    """A recurrent cell as pure functions of arrays with any leading axes.

    Attributes:
      num_gates: gate pre-activations per unit; G = num_gates * D.
      num_states: arrays in the carry, each [..., D]. The last one is the hidden state h.
      step: (x_gates, h_gates, carry) -> next carry. h_gates is None where `affine` is set.
      linearize: (x_gates, h_gates, carry, next carry) -> the step's local derivatives.
      pull: (local derivatives, cotangent of the next carry) -> cotangents of (x_gates, h_gates,
        carry). These two split the reverse derivative of a step into what needs no recurrence,
        done for a whole chunk of time at once, and the few multiplications that do. A cell that
        has neither is differentiated by autodiff.
      affine: x_gates -> (a, b), for a cell without a recurrent product: h_t = a * h_{t-1} + b.
      additive: whether the step reads only x_gates + h_gates. If not, the recurrent product has
        a bias of its own, b_h_G.
      gates: the gates' names in the order of G, for initialisation and pictures.
      values: (x_gates, h_gates, carry) -> the activation of each of `gates`, for diagnoses.
    """

    num_gates: int
    num_states: int
    step: Callable[[jax.Array, jax.Array | None, Carry], Carry]
    linearize: Callable[[jax.Array, jax.Array | None, Carry, Carry], Any] | None = None
    pull: Callable[[Any, Carry], tuple[jax.Array, jax.Array | None, Carry]] | None = None
    affine: Callable[[jax.Array], tuple[jax.Array, jax.Array]] | None = None
    additive: bool = False
    gates: tuple[str, ...] = ()
    values: Callable[[jax.Array, jax.Array | None, Carry], Sequence[jax.Array]] | None = None


def elementwise(step: Callable, num_gates: int, num_states: int, **facts) -> Cell:
    """A cell from its step alone, for a step that is elementwise in its units.

    Args:
      step, num_gates, num_states: as in Cell.
      **facts: the other attributes of Cell (affine, additive, gates, values).

    Raises:
      UsageError: the step mixes units or rows, as layer normalisation does. Make it a plain
        `Cell(num_gates, num_states, step)`, which autodiff handles.
    """
    cell = Cell(num_gates, num_states, step, *diagonal.derivative(step, num_gates, num_states))
    cell = cell._replace(**facts)
    diagonal.check(step, num_gates, num_states, recurrent=cell.affine is None)
    return cell


def activate(
    gates: jax.Array, squash: str, tanh: Callable[[jax.Array], jax.Array] = jnp.tanh
) -> list[jax.Array]:
    """The gates' activations by one tanh over all of them, as sigmoid(x) = (tanh(x / 2) + 1) / 2.

    XLA vectorises one tanh of a whole array; several of its slices it does element by element, at
    five times the cost.

    Args:
      gates: pre-activations [..., G].
      squash: a letter for each gate: s(igmoid) or t(anh).
      tanh: how it is computed.

    Returns:
      An array [..., D] for each gate.
    """
    units = gates.shape[-1] // len(squash)
    is_sigmoid = np.repeat([letter == "s" for letter in squash], units)
    is_sigmoid = is_sigmoid.reshape((1,) * (gates.ndim - 1) + is_sigmoid.shape)
    scale = np.where(is_sigmoid, 0.5, 1.0).astype(gates.dtype)
    activations = scale * tanh(scale * gates) + (1 - scale)
    return jnp.split(activations, len(squash), axis=-1)


def _tanh_apart(x: jax.Array) -> jax.Array:
    """tanh in a loop of its own, and so vectorised: XLA fuses nothing across the extra column."""
    return jnp.tanh(jnp.concatenate([x, x[..., :1]], axis=-1))[..., :-1]


@cache
def rnn(activation: str = "tanh") -> Cell:
    """h_t = f(x_t W_x + h_{t-1} W_h + b): Elman 1990, "Finding structure in time".

    `activation` names f, an elementwise function of `jax.nn` or `jax.numpy`. With f = relu and
    W_h = I this is the IRNN of Le, Jaitly and Hinton 2015.
    """
    function = activation_named(activation)

    def step(x_gates, h_gates, carry):
        del carry
        return (function(x_gates + h_gates),)

    def linearize(x_gates, h_gates, carry, next_carry):
        del carry, next_carry
        _, slope = jax.jvp(function, (x_gates + h_gates,), (jnp.ones_like(x_gates),))
        return slope

    def pull(slope, d_carry):
        d_gates = d_carry[0] * slope
        return d_gates, d_gates, (jnp.zeros_like(d_gates),)

    return Cell(1, 1, step, linearize, pull, additive=True, gates=("candidate",), values=step)


def activation_named(name: str) -> Callable[[jax.Array], jax.Array]:
    """The elementwise function of `jax.nn` or `jax.numpy` of that name. Raises UsageError."""
    function = getattr(jax.nn, name, None) or getattr(jnp, name, None)
    if not callable(function):
        usual = "celu elu gelu identity leaky_relu relu selu sigmoid silu sin soft_sign softplus"
        raise unknown("activation", name, [*usual.split(), "tanh"])
    # what is not a function of a number, nor of an array, fails in a way of its own
    with suppress(Exception), jax.ensure_compile_time_eval():
        x = jnp.linspace(-2.0, 3.0, 6)[None]
        whole, alone = function(x), jax.vmap(jax.vmap(function))(x)
        if whole.dtype == x.dtype and jnp.array_equal(whole, alone, equal_nan=True):
            return function
    raise UsageError(f"activation {name!r} does not map each number of an array by itself")


@cache
def lstm() -> Cell:
    """Store, forget, update, output: Hochreiter and Schmidhuber 1997, Gers et al. 2000 (forget).

        c_t = forget * c_{t-1} + store * candidate        (the update of the cell state)
        h_t = output * tanh(c_t)

    The gates store, forget and output are sigmoids, the candidate a tanh, of x_t W_x + h_{t-1} W_h
    + b. Carry: (c, h).
    """

    def activations(x_gates, h_gates, carry):
        del carry
        return activate(x_gates + h_gates, "ssts")

    def step(x_gates, h_gates, carry):
        store, forget, candidate, output = activations(x_gates, h_gates, carry)
        update = forget * carry[0] + store * candidate
        return update, output * jnp.tanh(update)

    def linearize(x_gates, h_gates, carry, next_carry):
        store, forget, candidate, output = activations(x_gates, h_gates, carry)
        squashed = jnp.tanh(next_carry[0])
        by_update = (
            candidate * store * (1 - store),
            carry[0] * forget * (1 - forget),
            store * (1 - candidate**2),
        )
        return by_update, squashed * output * (1 - output), output * (1 - squashed**2), forget

    def pull(local, d_carry):
        by_update, by_output, through, forget = local
        d_update, d_h = d_carry
        d_update = d_update + d_h * through
        d_gates = jnp.concatenate([*(d_update * p for p in by_update), d_h * by_output], axis=-1)
        return d_gates, d_gates, (d_update * forget, jnp.zeros_like(d_h))

    names = ("store", "forget", "candidate", "output")
    return Cell(4, 2, step, linearize, pull, additive=True, gates=names, values=activations)


@cache
def gru() -> Cell:
    """The gated recurrent unit of Cho et al. 2014, reset after the product (as in cuDNN).

        candidate = tanh(x_candidate + reset * h_candidate)
        h_t = (1 - update) * candidate + update * h_{t-1}

    Resetting h_{t-1} W_h + b_h instead of h_{t-1} leaves the product linear in h, so that all three
    gates are one product; b_h is inside the reset and cannot be merged with b.
    """

    def activations(x_gates, h_gates):
        ends = (2 * (x_gates.shape[-1] // 3),)
        x_gates, x_candidate = jnp.split(x_gates, ends, axis=-1)
        h_gates, h_candidate = jnp.split(h_gates, ends, axis=-1)
        # apart, or XLA may fuse this tanh too into the slices that the candidate reads
        reset, update = activate(x_gates + h_gates, "ss", _tanh_apart)
        candidate = _tanh_apart(x_candidate + reset * h_candidate)
        return reset, update, candidate, h_candidate

    def step(x_gates, h_gates, carry):
        _, update, candidate, _ = activations(x_gates, h_gates)
        return (candidate + update * (carry[0] - candidate),)

    def linearize(x_gates, h_gates, carry, next_carry):
        del next_carry
        reset, update, candidate, h_candidate = activations(x_gates, h_gates)
        by_candidate = (1 - update) * (1 - candidate**2)
        by_reset = by_candidate * h_candidate * reset * (1 - reset)
        by_update = (carry[0] - candidate) * update * (1 - update)
        return by_reset, by_update, by_candidate, by_candidate * reset, update

    def pull(local, d_carry):
        by_reset, by_update, by_candidate, by_h_candidate, update = local
        (d_h,) = d_carry
        shared = (d_h * by_reset, d_h * by_update)
        d_x_gates = jnp.concatenate([*shared, d_h * by_candidate], axis=-1)
        d_h_gates = jnp.concatenate([*shared, d_h * by_h_candidate], axis=-1)
        return d_x_gates, d_h_gates, (d_h * update,)

    names = ("reset", "update", "candidate")
    values = lambda x_gates, h_gates, carry: activations(x_gates, h_gates)[:3]  # noqa: E731
    return Cell(3, 1, step, linearize, pull, gates=names, values=values)


@cache
def min_gru() -> Cell:
    """The minimal gated unit of Feng et al. 2024, "Were RNNs all we needed?".

        h_t = (1 - store) * h_{t-1} + store * candidate

    Its gates read x_t alone, so there is no recurrent product and an associative scan can evaluate
    it. The candidate is linear and real-valued: the paper's log-space form needs h_0 > 0, this one
    is right for any h_0.
    """

    def activations(x_gates, *_):
        store, candidate = jnp.split(x_gates, 2, axis=-1)
        return jax.nn.sigmoid(store), candidate

    def affine(x_gates):
        store, candidate = activations(x_gates)
        return 1 - store, store * candidate

    def step(x_gates, h_gates, carry):
        del h_gates
        a, b = affine(x_gates)
        return (a * carry[0] + b,)

    names = ("store", "candidate")
    return elementwise(step, 2, 1, affine=affine, gates=names, values=activations)


_FACTORIES = {"gru": gru, "lstm": lstm, "min_gru": min_gru, "rnn": rnn}


def names() -> tuple[str, ...]:
    """The names that `named` knows."""
    return tuple(_FACTORIES)


def named(name: str, activation: str = "tanh") -> Cell:
    """The cell of that name, or the user's own, a Cell called NAME in a module: "MODULE:NAME".

    `activation` is that of "rnn", the others have none to choose. Raises UsageError for a cell that
    there is not, and for one whose gates have no names, as a layer needs them.
    """
    if ":" in name:
        cell = own.load("cell", name, Cell)
        if len(cell.gates) != cell.num_gates:
            raise UsageError(
                f"cell {name!r} has {cell.num_gates} gates, and names for {len(cell.gates)}: "
                f"gates={cell.gates}"
            )
        return cell
    if name not in _FACTORIES:
        raise unknown("cell", name, (*names(), "MODULE:NAME of your own"))
    return rnn(activation) if name == "rnn" else _FACTORIES[name]()
