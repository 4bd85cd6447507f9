"""A train state with every kind of leaf that a run may hold, and its bit-for-bit comparison."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax


@flax.struct.dataclass
class TrainState:
    step: Any
    params: Any
    opt_state: Any
    ema: Any
    memory: Any
    monitor: Any
    key: Any


def make(step: int, size: int = 8) -> TrainState:
    """The state of a step; that of another step differs in every field that can."""
    random = np.random.default_rng(step)
    params = {
        "w_DV": jnp.asarray(random.standard_normal((size, 3)), jnp.float32),
        "half": jnp.asarray(random.standard_normal(5), jnp.bfloat16),
        "a/b.c d": jnp.asarray(random.integers(0, 9, (2, 2)), jnp.int8),
        "empty_0D": jnp.zeros((0, size)),
        "nothing": {},
    }
    chain = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.masked(optax.scale_by_adam(), {**dict.fromkeys(params, False), "w_DV": True}),
        optax.identity(),
    )
    odd = np.array([np.nan, -0.0, 5e-324, np.inf, step])
    odd[:1].view(np.uint64)[0] |= 0x123  # this NaN and no other
    memory = {
        "rows": (jnp.full((4, 2), step, jnp.float32), jnp.arange(4) == step),
        "shared": {"exact": odd, "scalar": np.float64(step / 3), "bool": np.array(True)},
    }
    monitor = {"best": jnp.float32(-jnp.inf), "count": step, "on": step > 1, "rate": 0.1 * step}
    keys = {
        "run": jax.random.key(step),
        "lanes": jax.random.split(jax.random.key(step, impl="rbg")),
    }
    state = {"player": chain.init(params)}
    return TrainState(jnp.int32(step), {"player": params}, state, None, memory, monitor, keys)


def target(state: Any) -> Any:
    """Shapes and dtypes of a state's JAX arrays; the rest as it is."""

    def abstract(leaf):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array) else leaf

    return jax.tree.map(abstract, state)


def assert_same(left: Any, right: Any) -> None:
    """Same structure, types, dtypes, shapes and bytes."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    pairs = zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True)
    for (path, one), other in pairs:
        assert type(one) is type(other), path
        assert facts(one) == facts(other), jax.tree_util.keystr(path)


def facts(leaf: Any) -> tuple[Any, ...]:
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return str(leaf.dtype), leaf.shape, np.asarray(jax.random.key_data(leaf)).tobytes()
    array = np.asarray(leaf)
    assert array.dtype != object
    return array.dtype, array.shape, array.tobytes()
