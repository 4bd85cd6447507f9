"""Settings of every test: two devices, strict shapes, keys used once, compiled programs kept."""

import contextlib
import os
import subprocess
from pathlib import Path

import jax
import jaxlib
import pytest

from seqgen import backend

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
# tests compile much and compute little: a third of the time, the same results, and without fused
# kernels three fifths of that
jax.config.update("jax_disable_most_optimizations", True)
if jaxlib.__version__.startswith("0.10."):  # an unknown flag would end the process
    with pytest.MonkeyPatch.context() as environment:  # of this process, not of those it starts
        flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        environment.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {flags}")
        jax.devices()
cache_home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
backend.keep_compiled(cache_home / "seqgen-tests")


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many bytes; skips where that is not allowed."""
    mounted = tmp_path / "disk"
    mounted.mkdir()

    def mount(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mounted]
        with contextlib.suppress(OSError):
            if subprocess.run(command, capture_output=True).returncode == 0:
                return mounted
        pytest.skip("mounting a small disk needs root")

    yield mount
    with contextlib.suppress(OSError):
        subprocess.run(["umount", "-l", mounted], capture_output=True)
