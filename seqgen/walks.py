"""The recurrent layers of any model, watched while it computes: each walk as a trajectory.

A walk is one call of `layers.Direction`: one layer, read in one direction. Its first call counts,
so that what an objective computes beside its loss, such as written answers, has no part in it.
`gradient_flow.py` asks.
"""

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import trajectories
from seqgen.cells import Cell
from seqgen.errors import UsageError
from seqgen.layers import Direction, RecurrentOptions


class Layer(NamedTuple):
    """The static facts of a walk."""

    options: RecurrentOptions
    cell: Cell
    reverse: bool

    @property
    def units(self) -> int:
        return self.options.hidden_size


class Walk(NamedTuple):
    """What a walk began with; time first, and in the order of walking."""

    params: Any
    start: jax.Array  # [B, S]: the carry's arrays side by side
    x: jax.Array  # [T, B, E]
    real: jax.Array  # [T, B], False for padding
    reset: jax.Array | None  # [T, B]


class Watched(NamedTuple):
    """A walk and the direct part of ∂L/∂s_t for the state after each step, [T, B, S]."""

    walk: Walk
    direct: jax.Array


def watch(losses: Callable[..., jax.Array], *given: Any) -> tuple[dict[str, Layer], Callable]:
    """Names the recurrent layers that `losses(*given) -> [B]` walks, by their modules' paths.

    Also returns the function given -> {path: Watched}, to be compiled: each row's own loss is
    differentiated in what its walks put out and in where they end.

    Raises UsageError where no layer is walked, or where one is walked step by step inside a loop of
    the model's own.
    """
    layers: dict[str, Layer] = {}

    def run(shifts, *given):
        walks, intercept = {}, partial(_intercept, layers, shifts)
        with nn.intercept_methods(partial(intercept, walks)):
            loss_B = losses(*given)
        return jnp.sum(loss_B), (walks, loss_B)

    def recorded(*given):
        return jax.eval_shape(partial(run, None), *given)[1]

    walks, loss_B = recorded(*given)
    if not walks:
        raise UsageError("diagnose is for models with recurrent layers, and this one walks none")
    for path, (walk, _) in walks.items():
        if walk.x.shape[0] < 2:
            raise UsageError(
                f"diagnose follows layers that are walked in one call, and {path} takes one step: "
                "there is no time, or the model has a loop of its own, as model.input_feeding does"
            )
        if walk.start.shape[0] != loss_B.shape[0]:
            raise UsageError(
                f"diagnose needs a row of {path} for each example: there are {walk.start.shape[0]} "
                f"for {loss_B.shape[0]}"
            )

    def watched(*given):
        shapes = {path: outputs for path, (_, outputs) in recorded(*given)[0].items()}
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        slopes, (walks, _) = jax.grad(run, has_aux=True)(zeros, *given)
        return {
            path: Watched(walk, _direct(layers[path], walk, *slopes[path]))
            for path, (walk, _) in walks.items()
        }

    return layers, watched


def _intercept(layers, shifts, walks, call, args, kwargs, context):
    """Records the first call of each direction, and shifts what it returns."""
    outputs, module = call(*args, **kwargs), context.module
    if not isinstance(module, Direction) or context.method_name != "__call__":
        return outputs
    path = "/".join(module.path)
    if path in walks:
        return outputs
    layers[path] = Layer(module.options, module.cell, module.reverse)
    x_BTE, carry, length_B, reset_BT, _ = args
    real_BT = jnp.ones(x_BTE.shape[:2], bool)
    if length_B is not None:
        real_BT = jnp.arange(x_BTE.shape[1])[None] < length_B[:, None]
    if reset_BT is not None and module.reverse:
        reset_BT = jnp.pad(reset_BT[:, 1:], ((0, 0), (0, 1)))
    x_TBE, real_TB, reset_TB = (
        None if a is None else _walking(a, module.reverse) for a in (x_BTE, real_BT, reset_BT)
    )
    start_BS = jnp.concatenate(carry, axis=-1).astype(outputs[1].dtype)
    walk = Walk(module.variables["params"], start_BS, x_TBE, real_TB, reset_TB)
    walks[path] = walk, outputs
    return outputs if shifts is None else jax.tree.map(jnp.add, outputs, shifts[path])


def _walking(array_BT, reverse):
    return (array_BT[:, ::-1] if reverse else array_BT).swapaxes(0, 1)


def _direct(layer, walk, d_end, d_out_BTD):
    """What outputs and the end of the walk have of the loss, as part of each state's gradient."""
    d_out_TBD = jnp.where(walk.real[..., None], _walking(d_out_BTD, layer.reverse), 0)
    before = walk.start.shape[-1] - layer.units
    d_end_BS = jnp.concatenate(d_end, axis=-1)
    at_end_TB = walk.real & (later(walk.real) == 0)
    d_end_TBS = jnp.where(at_end_TB[..., None], d_end_BS[None], 0)
    return jnp.pad(d_out_TBD, ((0, 0), (0, 0), (before, 0))) + d_end_TBS


def later(real_TB: jax.Array) -> jax.Array:
    """How many real steps each row has after each step."""
    return jnp.cumsum(real_TB[::-1], axis=0)[::-1] - real_TB


def stepper(layer: Layer, params: Any) -> trajectories.Step:
    """(state [B, S], (x [B, E], real [B], reset [B] or None)) -> the next state, as in the layer.

    What evaluation does: zoneout takes its expectation.
    """
    step = _called(layer, layer.cell, params)

    def of_state(state_BS, inputs):
        x_BE, real_B, reset_B = inputs
        carry = jnp.split(state_BS, layer.cell.num_states, axis=-1)
        next_BS = jnp.concatenate(step(carry, x_BE, reset_B), axis=-1)
        return jnp.where(real_B[:, None], next_BS, state_BS)

    return of_state


def _called(layer, cell, params, **changed):
    """One step of the layer's own module, around that cell, in the form that autodiff takes."""
    options = dataclasses.replace(layer.options, backward="autodiff", parallel=False, **changed)
    module = Direction(options, cell, reverse=False)

    def step(carry, x_BE, reset_B=None):
        reset_B1 = None if reset_B is None else reset_B[:, None]
        return module.apply({"params": params}, x_BE[:, None], tuple(carry), None, reset_B1, False)[
            0
        ]

    return step


def trajectory(layer: Layer, walk: Walk) -> tuple[trajectories.Step, trajectories.Trajectory]:
    """The walk's step, and the states that it goes through."""
    step = stepper(layer, walk.params)
    return step, trajectories.follow(step, (walk.x, walk.real, walk.reset), walk.start)


class Gates(NamedTuple):
    """The gates of a cell by their names, at places or of whole walks: arrays [..., D]."""

    values: dict[str, jax.Array]
    slopes: dict[str, jax.Array]  # of each one's activation by its own pre-activation


def gates(layer: Layer, walk: Walk, path: trajectories.Trajectory) -> Gates | None:
    """What the gates let through at each step, [T, B, D]; None where the cell does not tell."""
    if layer.cell.values is None:
        return None
    steps, rows = path.states.shape[:2]
    flat = lambda array: None if array is None else array.reshape(-1, *array.shape[2:])  # noqa: E731
    own = jnp.split(flat(path.states), layer.cell.num_states, axis=-1)
    extra = [jnp.zeros_like(own[-1])] * 2 * layer.cell.num_gates
    told = _called(layer, telling(layer.cell), walk.params, zoneout=None)
    told = told([*extra, *own], flat(walk.x), flat(walk.reset))
    told = [array.reshape(steps, rows, -1) for array in told[: len(extra)]]
    names, half = layer.cell.gates, len(extra) // 2
    return Gates(
        dict(zip(names, told[:half], strict=True)), dict(zip(names, told[half:], strict=True))
    )


def telling(cell: Cell) -> Cell:
    """The cell with its gates' values and slopes among its states, before its own."""
    told = 2 * cell.num_gates

    def step(x_gates, h_gates, carry):
        own = carry[told:]
        values, slopes = values_and_slopes(cell, x_gates, h_gates, own)
        return (*values, *slopes, *cell.step(x_gates, h_gates, own))

    states = told + cell.num_states
    return cell._replace(num_states=states, step=step, linearize=None, pull=None)


def values_and_slopes(cell: Cell, x_gates: jax.Array, h_gates: Any, carry: Any) -> tuple[Any, Any]:
    """Each gate's activation and its slope: the derivative by its own pre-activation alone."""
    units = x_gates.shape[-1] // cell.num_gates
    at = lambda x_gates: tuple(cell.values(x_gates, h_gates, carry))  # noqa: E731
    slopes = []
    for number in range(cell.num_gates):
        own = slice(number * units, (number + 1) * units)
        ones = jnp.zeros_like(x_gates).at[..., own].set(1)
        slopes.append(jax.jvp(at, (x_gates,), (ones,))[1][number])
    return at(x_gates), slopes


@cache
def steepest(cell: Cell, reach: float = 10.0) -> dict[str, tuple[float, float]]:
    """Of each gate's function the largest slope from -reach to reach, and its value at 0."""
    x_N1 = jnp.linspace(-reach, reach, 4001)[:, None]  # one unit, with 0 among the places
    gates, zeros = jnp.tile(x_N1, (1, cell.num_gates)), jnp.zeros_like(x_N1)
    h_gates = None if cell.affine is not None else jnp.zeros_like(gates)
    look = jax.jit(partial(values_and_slopes, cell))
    values, slopes = look(gates, h_gates, (zeros,) * cell.num_states)
    return {
        name: (float(jnp.max(jnp.abs(slope))), float(value[2000, 0]))
        for name, value, slope in zip(cell.gates, values, slopes, strict=True)
    }


@cache
def reads_its_carry(cell: Cell) -> bool:
    """Whether a step depends on the state besides what the recurrent weights make of it."""
    x_N1 = jnp.linspace(-2.0, 2.0, 9)[:, None]
    gates = jnp.tile(x_N1, (1, cell.num_gates))
    carry = (x_N1,) * cell.num_states
    _, slopes = jax.jvp(
        partial(cell.step, gates, gates), (carry,), (jax.tree.map(jnp.ones_like, carry),)
    )
    return any(bool(jnp.any(slope != 0)) for slope in slopes)
