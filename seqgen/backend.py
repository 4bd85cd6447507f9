"""Settings that JAX reads once, before its first computation: devices, threads, the cache."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.environment import cores


def start(rows: int, *, compilation_cache: bool) -> None:
    """Must run before any array is made. `rows`: rows of a batch that are computed together.

    On a CPU each core becomes one device where the rows divide among them, since XLA runs the small
    products inside a scan on one core only; `plan.run_plan` says how many of them a run uses.
    """
    if rows % cores() == 0 and "XLA_FLAGS" not in os.environ:  # they may set the number themselves
        jax.config.update("jax_num_cpu_devices", cores())
    if compilation_cache:
        keep_compiled(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seqgen")


def keep_compiled(folder: Path) -> None:
    """Keeps every compiled program; by default JAX skips those that took under a second."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def mesh(devices: Sequence[jax.Device]) -> jax.sharding.Mesh:
    """Of devices that share the rows of a batch."""
    return jax.make_mesh(
        (len(devices),), ("batch",), (jax.sharding.AxisType.Auto,), devices=devices
    )


def placed(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """The arrays on the devices of the sharding, which may be other processes' too.

    Then they are arrays of the host, and every process has the same ones.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def place(x: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])

    return jax.tree.map(place, tree)


def supported(compiler_options: dict[str, str]) -> dict[str, str]:
    """Those of the options that this version of XLA knows: it has no list of them to ask."""
    known = {}
    for name, value in compiler_options.items():
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            jax.jit(lambda: jnp.zeros(()), compiler_options={name: value}).lower().compile()
            known[name] = value
    return known
