"""Settings of every test: two devices, strict shapes, keys used once, compiled programs kept."""

import os
from pathlib import Path

import jax

from seqgen import backend

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
cache_home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
backend.keep_compiled(cache_home / "seqgen-tests")
