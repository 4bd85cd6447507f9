"""The benchmarks' peers: one that can't run says why, before any is started."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("peer", ["torch", "keras"])
def test_a_peer_that_is_not_installed_is_named_with_its_extra(peer, monkeypatch):
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    monkeypatch.syspath_prepend(benchmarks)
    import processes

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, peer, None)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    sentence = rf"error: {peer} is not installed.*pip install 'seqgen\[bench\]'"
    with pytest.raises(SystemExit, match=sentence):
        processes.start(benchmarks / "peers.py", peer)
