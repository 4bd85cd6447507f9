"""The record of the environment is JSON, and names what a bit-exact resume depends on."""

import json
import os
import subprocess
import sys
from pathlib import Path

from seqgen import environment


def test_environment_reports_what_breaks_exactness_only():
    now = environment.record()
    json.dumps(now)
    assert environment.differences(now, dict(now)) == []
    assert environment.differences(now, environment.record(devices=True)) == []
    (cores,) = environment.differences({**now, "cpu_count": 1000}, now)
    assert cores == f"cpu_count was 1000 and is now {now['cpu_count']}"
    assert environment.differences({**now, "platform": "other", "orbax-checkpoint": "0"}, now) == []


def test_cores_are_counted_where_a_process_has_no_affinity(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity")
    assert environment.record()["cpu_count"] == os.cpu_count()


def test_nothing_here_starts_jax():
    code = "import sys; from seqgen import environment, run_directory; environment.record(); "
    code += "assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
