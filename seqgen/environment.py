"""The record of where a run was computed, and what of it a bit-exact resume depends on.

`train.py` writes it into the run directory and compares it on resume. Unless asked for the devices,
nothing here starts a JAX backend.
"""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# The instruction sets that decide which kernels a compiler picks, so the order of its sums.
INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "avx512", "avx_vnni", "amx", "asimd", "sve")
# What a bit-exact resume does not depend on, although the record names it.
IRRELEVANT = ("orbax-checkpoint", "platform")


def record(*, devices: bool = False) -> dict[str, Any]:
    """What a run's numbers depend on besides config and data, as JSON.

    `devices` adds kind and count of JAX's devices, which starts the backend.
    """
    model, instructions = _processor()
    found = {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_model": model,
        "cpu_instruction_sets": instructions,
        "cpu_count": cores(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "commit": _commit(),
    }
    if devices:
        import jax  # here, as the rest of this file has no need of it

        found["device_kind"] = jax.devices()[0].device_kind
        found["device_count"] = jax.device_count()
        found["process_count"] = jax.process_count()
    return found


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def free_bytes() -> int:
    """Memory of the machine that programs could still have."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024 * int(value.split()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One sentence for each difference that can break a bit-exact resume.

    A name that only one of the records has, such as the devices', says nothing and is passed over.
    """
    return [
        f"{name} was {recorded[name]!r} and is now {now[name]!r}"
        for name in recorded
        if name in now and name not in IRRELEVANT and recorded[name] != now[name]
    ]


def _processor() -> tuple[str, list[str]]:
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    flags = facts.get("flags", facts.get("Features", "")).split()
    chosen = sorted(flag for flag in flags if flag.startswith(INSTRUCTION_SETS))
    return facts.get("model name", platform.processor()), chosen


def _commit() -> str | None:
    tree = Path(__file__).parents[1]
    describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        if (tree / ".git").exists():
            return subprocess.check_output(["git", "-C", tree, *describe], text=True).strip()
    return None
