"""The train step: what a run's state is, how it begins, and how one step moves it.

`train.py` calls the compiled step; nothing in it knows which model, data or objective it runs.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from seqgen.config import RunOptions
from seqgen.objectives import Objective, Player
from seqgen.optimizer import Optimizer


@flax.struct.dataclass
class Monitor:
    """What the run remembers of its own progress, all scalars."""

    best: jax.Array  # of the monitored validation metric
    since_best: jax.Array  # evaluations without a new best
    since_cut: jax.Array  # evaluations without a new best since the learning rate was last cut
    rate_scale: jax.Array  # what plateaus have left of the learning rate
    nonfinite: jax.Array  # skipped steps in a row
    looks: jax.Array | None  # taken at samples beside data; None: the run takes none


@flax.struct.dataclass
class TrainState:
    """All there is to a run; every random number is a named fold of `key`."""

    step: jax.Array
    params: dict[str, Any]  # by player, as are the next two
    opt_state: dict[str, Any]
    ema: dict[str, Any] | None
    memory: dict[str, Any]
    monitor: Monitor
    key: jax.Array

    @property
    def evaluated(self) -> dict[str, Any]:
        """The parameters that evaluation and generation use."""
        return self.params if self.ema is None else self.ema


# Names of the folds of the run's key.
INIT, DATA, UPDATE = range(3)


def fold(key: jax.Array, *numbers: int | jax.Array) -> jax.Array:
    for number in numbers:
        key = jax.random.fold_in(key, number)
    return key


def init(
    objective: Objective,
    optimizers: dict[str, Optimizer],
    batch: dict[str, jax.Array],
    options: RunOptions,
    larger_is_better: bool,
) -> TrainState:
    """The state before the first step; it fits a batch like the given one."""
    key = jax.random.key(options.seed)
    params, memory = objective.init(fold(key, INIT), batch)
    chains = {name: optimizer.init(params[name]) for name, optimizer in optimizers.items()}
    monitor = Monitor(
        best=jnp.float32(-jnp.inf if larger_is_better else jnp.inf),
        since_best=jnp.int32(0),
        since_cut=jnp.int32(0),
        rate_scale=jnp.float32(1),
        nonfinite=jnp.int32(0),
        looks=jnp.int32(0) if options.stop_when_indistinguishable else None,
    )
    ema = None if options.ema is None else jax.tree.map(jnp.copy, params)
    return TrainState(jnp.int32(0), params, chains, ema, memory, monitor, key)


def make_step(
    objective: Objective,
    optimizers: dict[str, Optimizer],
    batch: Callable[[jax.Array, jax.Array], dict[str, jax.Array]],
    options: RunOptions,
    mesh: Mesh | None,
) -> Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]]:
    """state -> (state, metrics). `batch` is (index, key) -> arrays of one update.

    mesh: its axis "batch" shares the rows; None: the caller has mapped the step over that axis.
    """

    def step(state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        params, chains, memory, logged = state.params, state.opt_state, state.memory, {}
        for number, player in enumerate(objective.players):
            optimizer = optimizers[player.name]
            rate = optimizer.rate(state.step) * state.monitor.rate_scale
            prefix = f"{player.name}/" if number else ""  # the first player's have none
            for update in range(player.updates):
                key = fold(state.key, UPDATE, state.step, number, update)
                examples = batch(state.step * player.updates + update, fold(state.key, DATA))
                own = params[player.name]  # differentiated in its own parameters alone
                clock = (state.step, key)
                grads, memory, metrics = gradient(
                    player, own, params, memory, examples, clock, mesh, options.accumulate or 1
                )
                own, chain, moved = descend(optimizer, grads, chains[player.name], own, rate)
                params, chains = params | {player.name: own}, chains | {player.name: chain}
                logged |= {prefix + name: value for name, value in (metrics | moved).items()}
        new = state.replace(
            params=params, opt_state=chains, memory=memory, ema=average(state, params, options.ema)
        )
        return keep_if_finite(state, new, logged)

    return step


def gradient(
    player: Player,
    own: Any,
    params: dict[str, Any],
    memory: dict[str, Any],
    batch: dict[str, jax.Array],
    clock: tuple[jax.Array, jax.Array],
    mesh: Mesh | None,
    parts: int,
) -> tuple[Any, dict[str, Any], dict[str, jax.Array]]:
    """The gradient of the mean loss, over the devices of the mesh and the parts of the batch.

    Each device differentiates its own rows, and there is one reduction, however many chunks the
    backward pass has; what the memory shares is the mean of what each part would leave there.
    Returns (gradients, memory, metric means).
    """

    def on_device(own, params, rows, shared, batch, step, key_data):
        device_key = fold(jax.random.wrap_key_data(key_data), jax.lax.axis_index("batch"))

        def on_part(inputs):
            number, rows, examples = inputs
            (_, (weight, memory, metrics)), grads = jax.value_and_grad(player.loss, has_aux=True)(
                own,
                params,
                {"rows": rows, "shared": shared},
                examples,
                (step, fold(device_key, number)),
            )
            return (grads, weight, metrics), (memory["rows"], memory["shared"])

        split = partial(jax.tree.map, lambda x: x.reshape(parts, -1, *x.shape[1:]))
        sums, (rows, left) = sum_over(on_part, (jnp.arange(parts), split(rows), split(batch)))
        join = partial(jax.tree.map, lambda x: x.reshape(-1, *x.shape[2:]))
        mean = partial(jax.tree.map, lambda x: jax.lax.pmean(jnp.mean(x, axis=0), "batch"))
        return jax.lax.psum(sums, "batch"), join(rows), mean(left)

    if mesh is not None:
        on_device = jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(P(), P(), P("batch"), P(), P("batch"), P(), P()),
            out_specs=(P(), P("batch"), P()),
            check_vma=False,
        )
    (grads, weight, metrics), rows, shared = on_device(
        own,
        params,
        memory["rows"],
        memory["shared"],
        batch,
        clock[0],
        jax.random.key_data(clock[1]),
    )
    mean = partial(jax.tree.map, lambda x: x / jnp.maximum(weight, 1).astype(x.dtype))
    return mean(grads), {"rows": rows, "shared": shared}, mean(metrics) | {"weight": weight}


def sum_over(function: Callable[[Any], tuple[Any, Any]], inputs: Any) -> tuple[Any, Any]:
    """Applies the function along the leading axis: (sum of its firsts, its seconds stacked)."""

    def add(sums, one):
        first, second = function(one)
        return jax.tree.map(jnp.add, sums, first), second

    sums, _ = jax.eval_shape(function, jax.tree.map(lambda x: x[0], inputs))
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), sums)
    return jax.lax.scan(add, zeros, inputs)


def descend(
    optimizer: Optimizer, grads: Any, chain: Any, own: Any, rate: jax.Array
) -> tuple[Any, Any, dict[str, jax.Array]]:
    """One optimizer update: (parameters, chain state, what is logged of it)."""
    clip_state, descend_state = chain
    grads = optimizer.thaw(grads)
    clipped, clip_state = optimizer.clip.update(grads, clip_state, own)
    updates, descend_state = optimizer.descend.update(
        clipped, descend_state, own, learning_rate=rate
    )
    norm, norm_clipped = optax.tree.norm(grads), optax.tree.norm(clipped)
    own = optax.apply_updates(own, updates)
    logged = {
        "learning_rate": rate,
        "gradient_norm": norm,
        "clipped_norm": norm_clipped,
        "clipped": (norm_clipped < norm * (1 - 1e-6)).astype(norm.dtype),
        "parameter_norm": optax.tree.norm(own),
    }
    return own, (clip_state, descend_state), logged


def average(
    state: TrainState, params: dict[str, Any], decay: float | None
) -> dict[str, Any] | None:
    """The moving average of the parameters; a short memory at first, so that the start fades."""
    if decay is None:
        return None
    decay = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
    return jax.tree.map(
        lambda old, new: old + (1 - decay).astype(old.dtype) * (new - old), state.ema, params
    )


def keep_if_finite(
    old: TrainState, new: TrainState, metrics: dict[str, jax.Array]
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The new state, or the old one if a loss or gradient is not finite; `step` always advances."""
    finite = jnp.all(jnp.stack([jnp.isfinite(value) for value in metrics.values()]))
    kept = jax.tree.map(
        lambda a, b: jnp.where(finite, b, a), old.replace(key=None), new.replace(key=None)
    )
    nonfinite = jnp.where(finite, 0, old.monitor.nonfinite + 1)
    kept = kept.replace(
        step=old.step + 1, key=old.key, monitor=old.monitor.replace(nonfinite=nonfinite)
    )
    return kept, metrics | {"nonfinite": nonfinite}


def observe(
    monitor: Monitor, value: jax.Array, larger_is_better: bool, patience: int | None, scale: float
) -> Monitor:
    """The monitor after an evaluation; `patience` and `scale` are the learning-rate plateau's."""
    better = value > monitor.best if larger_is_better else value < monitor.best
    since_cut = jnp.where(better, 0, monitor.since_cut + 1)
    cut = jnp.zeros((), bool) if patience is None else since_cut >= patience
    return monitor.replace(
        best=jnp.where(better, value, monitor.best),
        since_best=jnp.where(better, 0, monitor.since_best + 1),
        since_cut=jnp.where(cut, 0, since_cut),
        rate_scale=jnp.where(cut, monitor.rate_scale * scale, monitor.rate_scale),
        looks=None if monitor.looks is None else monitor.looks + 1,
    )


def several(
    step: Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]], count: int
) -> Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]]:
    """`count` steps in one dispatch: (last state, metrics stacked over the steps)."""
    return lambda state: jax.lax.scan(lambda s, _: step(s), state, length=count)


def shardings(mesh: Mesh, state: TrainState) -> TrainState:
    """Where each array of the state lives: rows along the batch, all else on every device."""
    every, rows = NamedSharding(mesh, P()), NamedSharding(mesh, P("batch"))
    placed = jax.tree.map(lambda _: every, state)
    of_rows = jax.tree.map(lambda _: rows, state.memory["rows"])
    return placed.replace(memory=placed.memory | {"rows": of_rows})
