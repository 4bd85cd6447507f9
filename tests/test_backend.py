"""Settings of a fresh process."""

import jax
import pytest

from seqgen import backend


@pytest.mark.parametrize("switched_on", [True, False])
def test_compiled_programs_are_kept_in_the_users_cache(switched_on, tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # a user's own: devices and threads are left alone
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        backend.start(16, compilation_cache=switched_on)
        expected = str(tmp_path / "seqgen") if switched_on else None
        assert jax.config.jax_compilation_cache_dir == expected
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
