"""The record of the environment is JSON, and names what a bit-exact resume depends on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqgen import environment
from seqgen.backends import local


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


def machine(folder, monkeypatch, groups, files):
    """A machine with 1000 KiB free, where this process is in these control groups."""
    monkeypatch.delenv("SEQGEN_MEMORY_SHARE", raising=False)
    monkeypatch.setattr(environment, "PROC", folder / "proc")
    monkeypatch.setattr(environment, "GROUPS", folder / "groups")
    meminfo = "MemTotal: 4000 kB\nMemAvailable: 1000 kB\n"
    files = {"proc/meminfo": meminfo, "proc/self/cgroup": groups} | files
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, 1024_000),
        ("0::/a/b\n", {}, 1024_000),  # such a group has none of the files
        (  # the limit is the one around its own
            "0::/a/b\n",
            {
                "a/b/memory.max": "max\n",
                "a/b/memory.current": "7\n",
                "a/memory.max": "5000\n",
                "a/memory.current": "3000\n",
                "a/memory.stat": "anon 2500\ninactive_file 400\nactive_file 100\n",
            },
            2400,
        ),
        (  # in a container, where the path is the host's; it has more than it may
            "0::/../host/b\n",
            {"memory.max": "500\n", "memory.current": "501\n"},
            0,
        ),
        (
            "9:name=systemd:/\n4:memory:/job\n1:cpu:/other\n0::/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.usage_in_bytes": "9000\n",
                "memory/memory.stat": "total_inactive_file 0\n",
                "memory/job/memory.limit_in_bytes": "8000\n",
                "memory/job/memory.usage_in_bytes": "5000\n",
                "memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 30\n",
            },
            3030,
        ),
        (  # a limit beyond what the machine has
            "0::/\n",
            {"memory.max": "9000000\n", "memory.current": "0\n", "memory.stat": ""},
            1024_000,
        ),
    ],
)
def test_free_memory_is_within_the_limits_of_control_groups(
    tmp_path, monkeypatch, groups, files, expected
):
    machine(tmp_path, monkeypatch, groups, {f"groups/{name}": c for name, c in files.items()})
    assert environment.free_bytes() == expected


def test_jobs_that_begin_together_divide_the_free_memory(tmp_path, monkeypatch):
    machine(tmp_path, monkeypatch, "", {})
    for number in (1, 2, 5):
        found = []
        for slot in local.slots(number, range(2), []):
            for name, value in slot.environ.items():
                monkeypatch.setenv(name, value)
            found.append(environment.free_bytes())
        assert found == [1024_000 // number] * number


def test_nothing_here_starts_jax():
    code = "import sys; from seqgen import environment, run_directory; environment.record(); "
    code += "assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
