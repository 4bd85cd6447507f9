"""The one program of several lanes: their states stacked over the devices, moved on together.

`lanes.py` takes the lanes from call to call.
"""

import functools
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from seqgen import backend, plan
from seqgen import step as steps
from seqgen.lane_session import Shared, Values
from seqgen.parts import State, step_of


class Program:
    """What moves lanes on; compiled once for each number of steps and shape of the batches."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.mesh = mesh_of(shared.lanes)
        self.place = NamedSharding(self.mesh, P("lanes"))
        self.compiled = functools.cache(self._compile)

    def _compile(self, count: int, shape: tuple[int, ...]) -> jax.stages.Wrapped:
        """Jitted (values, states, keys, which move, arrays) -> (states, metrics), stacked."""
        shared = self.shared

        def lane(values, state, key, on, arrays):
            step = step_of(shared.parts(values), shared.dataset, arrays, shape, None)

            @partial(jax.jit, inline=True)  # so that it is traced once
            def move(state):
                moved, metrics = steps.several(step, count)(state.replace(key=key))
                return moved.replace(key=None), metrics

            if shared.lanes.how == "vmap":  # a condition of each lane's own would be both branches
                moved, metrics = move(state)
                return jax.tree.map(partial(jnp.where, on), moved, state), metrics
            _, measured = jax.eval_shape(move, state)
            nothing = jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), measured)
            return jax.lax.cond(on, move, lambda state: (state, nothing), state)

        def on_device(values, states, keys, on, arrays):
            if shared.lanes.how == "vmap":
                return jax.vmap(partial(lane, arrays=arrays))(values, states, keys, on)
            return jax.lax.map(lambda one: lane(*one, arrays), (values, states, keys, on))

        own = P("lanes")
        mapped = jax.shard_map(
            on_device,
            mesh=self.mesh,
            in_specs=(own, own, own, own, P()),
            out_specs=own,
            check_vma=False,
        )
        return jax.jit(
            mapped,
            donate_argnums=1,
            out_shardings=self.place,
            compiler_options=backend.supported(shared.layout.compiler_options),
        )


class Stacked:
    """The states of all lanes, on the devices; each lane is on one of them, as are its rows."""

    def __init__(self, program: Program, values: Sequence[Values], states: Sequence[State]) -> None:
        self._program = program
        # so that each device has as many; never called
        spare = -len(values) % program.shared.lanes.devices
        self._places = len(values) + spare
        self._keys = [state.key for state in states]
        filled = [*states, *states[:1] * spare]
        place = partial(jax.device_put, device=program.place)
        self._states = place(host_stack([state.replace(key=None) for state in filled]))
        self._all_keys = place(jnp.stack([state.key for state in filled]))
        self._values = place(jax.tree.map(weak_stack, *values, *values[:1] * spare))
        self._host: State | None = None  # a copy, from one call to the next
        self._monitors_moved = False

    def state(self, lane: int) -> State:
        """One lane's state, on the host."""
        if self._host is None:
            # not the arrays that JAX keeps, which can't be written to
            self._host = jax.tree.map(np.array, jax.device_get(self._states))
        own = jax.tree.map(lambda leaf: leaf[lane], self._host)
        return own.replace(key=self._keys[lane])

    def set_monitor(self, lane: int, monitor: steps.Monitor) -> None:
        """Only after `state` of that lane, before the next call."""

        def put(leaf: np.ndarray, value: Any) -> None:
            leaf[lane] = value

        jax.tree.map(put, self._host.monitor, monitor)
        self._monitors_moved = True

    def call(self, step: int, count: int, moving: Sequence[int]) -> dict[int, dict[str, "Row"]]:
        """Moves some of the lanes, which are at that step, on by `count`; the others stay.

        Returns their metrics by lane, to be read when they are needed.
        """
        program, shared = self._program, self._program.shared
        if self._monitors_moved:
            monitor = jax.device_put(self._host.monitor, program.place)
            self._states = self._states.replace(monitor=monitor)
        self._host, self._monitors_moved = None, False
        on = np.zeros(self._places, bool)
        on[list(moving)] = True
        run = program.compiled(count, shared.dataset.shape("train", step, True))
        self._states, metrics = run(self._values, self._states, self._all_keys, on, shared.arrays)
        fetched = Fetched(metrics)
        return {lane: {name: Row(fetched, name, lane) for name in metrics} for lane in moving}


class Fetched:
    """What a call has measured of all lanes; copied to the host when the first of them is read."""

    def __init__(self, metrics: dict[str, jax.Array]) -> None:
        self._metrics = metrics

    @functools.cached_property
    def host(self) -> dict[str, np.ndarray]:
        return jax.device_get(self._metrics)


class Row:
    """One lane's row of what was measured: an array for whoever asks for one."""

    def __init__(self, fetched: Fetched, name: str, lane: int) -> None:
        self._fetched, self._name, self._lane = fetched, name, lane

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._fetched.host[self._name][self._lane], dtype)


def mesh_of(lanes: plan.LanePlan) -> jax.sharding.Mesh:
    """The axis "batch" is there for the step, which sums over it: no lane's rows are shared."""
    devices = jax.devices()[: lanes.devices]
    kinds = (jax.sharding.AxisType.Auto,) * 2
    return jax.make_mesh((lanes.devices, 1), ("lanes", "batch"), kinds, devices=devices)


def host_stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *map(jax.device_get, trees))


def weak_stack(*values: Any) -> jax.Array:
    """Numbers of Python stay such: they take on the type of what they are combined with."""
    return jnp.stack([jnp.asarray(value) for value in values])
