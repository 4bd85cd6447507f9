"""How error and state travel through a model's recurrent layers, measured on a few examples.

Walks (`walks.py`) go through the Jacobians of `trajectories.py`; what comes out are NumPy arrays
and, of them, the numbers that a diagnosis states. `diagnose.py` asks, for one set of parameters or
for those of every checkpoint.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import trajectories, walks
from seqgen.datasets import Dataset
from seqgen.errors import UsageError, unknown
from seqgen.metrics import gradients
from seqgen.objectives import Batch, Objective

EXAMPLES = 16  # whose gradients are walked back
SPREAD = 2  # of them, whose Jacobians are multiplied
EXACT = 128  # units of h at most whose singular values are all computed, from the whole matrix
LARGEST = 8  # singular values of wider layers
EXPONENTS = 64  # at most, of states of more than 2 EXACT numbers

Walks = dict[str, walks.Layer]


class Flow(NamedTuple):
    """Log norms [T, B] of one walk, in the order of walking, h being the state after each step."""

    real: np.ndarray
    total: np.ndarray  # ∂L/∂h_t, L being the row's own loss, the mean over its targets
    last: np.ndarray  # the part that enters at the last step with a part of the loss, walked back
    before_last: np.ndarray  # whether a step is that last one or before it, and real


class Spread(NamedTuple):
    """Logarithms of what Jacobians do to the states of a few rows."""

    lags: np.ndarray  # [N]: steps back from the last one
    singular: np.ndarray  # [N, B, K] singular values of ∂h_T/∂h_(T-lag), falling
    exact: bool  # whether they are all, K = D; if not, the largest
    exponents: np.ndarray  # [B, K] of the whole state, falling; nats a step


def examples(dataset: Dataset, split: str, count: int = EXAMPLES) -> Batch:
    """The first few of a split. Raises UsageError where there is no such split."""
    if split not in dataset.num_batches:
        raise unknown("split", split, dataset.num_batches)
    shape = dataset.shape(split, 0, False)
    batch = jax.jit(lambda arrays: dataset.batch(arrays, split, jnp.int32(0), None, *shape))(
        dataset.arrays
    )
    count = min(count, int(jnp.sum(batch["weight_B"] > 0)))
    batch = {name: array[:count] for name, array in batch.items()}
    if "references" in dataset.spec["targets"] and batch["targets"].ndim == 3:
        batch["targets"] = batch["targets"][:, 0]
    return batch


def losses(objective: Objective, rows: Any, params: Any, batch: Batch) -> jax.Array:
    """Each row's own loss, the mean over its targets, without dropout: [B]."""
    measured, _ = objective.measure(params, {"rows": rows}, batch, jax.random.key(0))
    if "loss" not in measured:
        raise UsageError("diagnose follows a loss of each example, and a game has none")
    value_B, weight_B = measured["loss"]
    return value_B / jnp.where(weight_B > 0, weight_B, 1)


class Lens(NamedTuple):
    """What looks at one model on batches of one shape; each function is compiled once."""

    layers: Walks
    look: Callable[[Any, Batch], tuple[dict[str, walks.Walk], dict[str, Flow]]]


def lens(objective: Objective, params: Any, batch: Batch) -> Lens:
    """Raises UsageError for a model without recurrent layers, or one that can't be followed."""
    key = jax.random.key(0)

    def rows(batch):
        return objective.init(key, batch)[1]["rows"]

    layers, watched = walks.watch(
        partial(losses, objective), jax.eval_shape(rows, batch), params, batch
    )

    @jax.jit
    def look(params, batch):
        found = watched(rows(batch), params, batch)
        flows = {path: _flow(layers[path], *found[path]) for path in found}
        return {path: one.walk for path, one in found.items()}, flows

    return Lens(layers, look)


def in_order(paths: Iterable[str]) -> list[str]:
    """Encoders before decoders, lower layers first."""
    return sorted(paths, key=lambda path: ("decoder" in path, len(path), path))


def _flow(layer, walk, direct_TBS):
    step, path = walks.trajectory(layer, walk)
    enters_TB = walk.real & jnp.any(direct_TBS != 0, axis=-1)  # a padded answer has no error
    later_TB = walks.later(enters_TB)
    at_last_TB1 = (enters_TB & (later_TB == 0))[..., None]
    parts_2TBS = jnp.stack([direct_TBS, jnp.where(at_last_TB1, direct_TBS, 0)])
    found = jax.vmap(lambda part_TBS: trajectories.gradients(step, path, part_TBS))(parts_2TBS)
    before_TB = walk.real & (enters_TB | (later_TB > 0))
    return Flow(walk.real, *trajectories.log_norms(found, layer.units), before_TB)


def spread(layer: walks.Layer, walk: walks.Walk) -> Spread:
    """Of the first few of the rows with the most real steps."""
    lengths_B = np.sum(np.asarray(walk.real), axis=0)
    rows = np.flatnonzero(lengths_B == lengths_B.max())[:SPREAD]
    steps = slice(
        -lengths_B.max() if layer.reverse else None, None if layer.reverse else lengths_B.max()
    )
    cut = walks.Walk(
        walk.params,
        walk.start[rows],
        *(None if a is None else a[steps, rows] for a in (walk.x, walk.real, walk.reset)),
    )
    size, units = walk.start.shape[1], layer.units
    count = size if size <= 2 * EXACT else EXPONENTS

    @jax.jit
    def exponents(walk):
        step, path = walks.trajectory(layer, walk)
        return trajectories.exponents(step, path, walk.real, count)[0]

    @jax.jit
    def all_singular(walk):
        return trajectories.log_singular_values(*walks.trajectory(layer, walk), units)

    @jax.jit
    def largest(walk, lag):
        step, path = walks.trajectory(layer, walk)
        return trajectories.largest_log_singular_values(step, path, units, lag, LARGEST)

    total = int(lengths_B.max())
    if units <= EXACT:
        lags, singular = np.arange(1, total + 1), np.asarray(all_singular(cut))[::-1]
    else:
        lags = np.unique(np.append(2 ** np.arange(int(math.log2(total)) + 1), total))
        singular = np.stack([np.asarray(largest(cut, jnp.int32(lag))) for lag in lags])
    return Spread(lags, singular, units <= EXACT, np.asarray(exponents(cut)))


class Bound(NamedTuple):
    """σ_max(W) max|f′|, above which no step's Jacobian can be (Pascanu, Mikolov & Bengio 2013)."""

    sigma: float  # the largest singular value of the recurrent weights
    slope: float  # the largest of the activation
    step: float  # the bound of one step, with what zoneout keeps


def bound(layer: walks.Layer, walk: walks.Walk) -> Bound | None:
    """None for cells that are not h_t = f(x_t W_x + h_{t-1} W_h + b), or whose f has no bound."""
    cell = layer.cell
    if cell.values is not cell.step or cell.affine is not None or layer.options.normalize:
        return None
    gate = cell.gates[0]
    if walks.reads_its_carry(cell) or (
        walks.steepest(cell)[gate][0] > 1.05 * walks.steepest(cell, reach=5.0)[gate][0]
    ):
        return None
    sigma = float(np.linalg.norm(np.asarray(walk.params["w_h_DG"], float), 2))
    slope = walks.steepest(cell)[gate][0]
    kept = layer.options.zoneout or 0.0
    return Bound(sigma, slope, kept + (1 - kept) * sigma * slope)


class Told(NamedTuple):
    """Gates and states of a walk, arrays [T, B, D] by name."""

    gates: walks.Gates | None
    before: tuple[np.ndarray, ...]  # the carry's arrays before each step
    after: tuple[np.ndarray, ...]


def told(layer: walks.Layer, walk: walks.Walk) -> Told:
    @jax.jit
    def tell(walk):
        _, path = walks.trajectory(layer, walk)
        after = jnp.concatenate([path.states[1:], path.last[None]])
        return walks.gates(layer, walk, path), path.states, after

    gates, *states = jax.device_get(tell(walk))
    return Told(gates, *(tuple(np.split(s, layer.cell.num_states, axis=-1)) for s in states))


def slopes(layer: walks.Layer, real_TB: np.ndarray, one: Told) -> dict[str, gradients.Slopes]:
    """Of each gate over all real steps and units; none where the cell does not tell."""
    if one.gates is None:
        return {}
    return {
        name: gradients.slopes(
            one.gates.slopes[name][real_TB].ravel(), one.gates.values[name][real_TB].ravel(), *most
        )
        for name, most in walks.steepest(layer.cell).items()
    }


def over_time(layer: walks.Layer, one: Told, row: int = 0) -> dict[str, np.ndarray]:
    """What the notes call layers, step by step in one row: name -> [T, D].

    Of an LSTM forget, store (its gate × the candidate), update (the new cell state) and output; of
    other cells their gates, a store gate likewise with its candidate, and the new state.
    """
    values = {} if one.gates is None else dict(one.gates.values)
    if layer.cell.values is layer.cell.step:  # its gate is its state
        values = {}
    if "store" in values and "candidate" in values:
        values["store"] = values["store"] * values.pop("candidate")
    shown = {name: value for name, value in values.items() if name != "output"}
    if layer.cell.num_states > 1:
        shown["update"] = one.after[0]
    if "output" in values:
        shown["output"] = values["output"]
    if layer.cell.num_states == 1:
        shown["h"] = one.after[-1]
    names = ("forget", *(name for name in shown if name != "forget"))  # in the notes' order
    return {name: shown[name][:, row] for name in names if name in shown}
