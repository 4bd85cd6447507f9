"""Settings that JAX reads once, before its first computation: devices, threads, the cache."""

import os
from pathlib import Path

import jax


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def start(rows: int, *, compilation_cache: bool) -> None:
    """Must run before any array is made. `rows`: rows of a batch that are computed together.

    On a CPU each core becomes one device where the rows divide among them, since XLA runs the small
    products inside a scan on one core only; large products then need no threads of their own.
    A user's own XLA_FLAGS are left alone.
    """
    if rows % cores() == 0 and "XLA_FLAGS" not in os.environ:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        jax.config.update("jax_num_cpu_devices", cores())
    if compilation_cache:
        keep_compiled(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seqgen")


def keep_compiled(folder: Path) -> None:
    """Keeps every compiled program; by default JAX skips those that took under a second."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
