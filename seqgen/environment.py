"""The record of where a run was computed, and what of it a bit-exact resume depends on.

`train.py` writes it into the run directory and compares it on resume. Unless asked for the devices,
nothing here starts a JAX backend.
"""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# The instruction sets that decide which kernels a compiler picks, so the order of its sums.
INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "avx512", "avx_vnni", "amx", "asimd", "sve")
# What a bit-exact resume does not depend on, although the record names it.
IRRELEVANT = ("orbax-checkpoint", "platform")
MEMORY_SHARE = "SEQGEN_MEMORY_SHARE"  # what part of the free memory is this process's, up to 1
PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# Of a control group's memory, in its second and first version: its limit, how much is in use, and
# which of that the kernel gives up when asked, as it is of files and was not lately read.
GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def record(*, devices: bool = False) -> dict[str, Any]:
    """What a run's numbers depend on besides config and data, as JSON.

    `devices` adds kind and count of JAX's devices, which starts the backend.
    """
    model, instructions = _processor()
    # how long processes wait for each other changes no number
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "timeout" not in flag]
    found = {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_model": model,
        "cpu_instruction_sets": instructions,
        "cpu_count": cores(),
        "xla_flags": " ".join(flags),
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
    """Memory that this process could still have.

    That is what the machine has free, or less where a control group that the process is in, such as
    a container's or a Slurm job's, is nearer to its limit. Of it this is the process's share.
    """
    return int(min([_machine_free(), *_groups_free()]) * float(os.environ.get(MEMORY_SHARE, "1")))


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One sentence for each difference that can break a bit-exact resume.

    A name that only one of the records has, such as the devices', says nothing and is passed over.
    """
    return [
        f"{name} was {recorded[name]!r} and is now {now[name]!r}"
        for name in recorded
        if name in now and name not in IRRELEVANT and recorded[name] != now[name]
    ]


def _machine_free() -> int:
    with contextlib.suppress(OSError):
        for line in (PROC / "meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024 * int(value.split()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _groups_free() -> Iterator[int]:
    """What each control group that this process is in has left, those around its own too."""
    with contextlib.suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in GROUP_FILES:
                continue
            top = GROUPS / controllers
            # inside a container its path may be the host's, and the top is the container's group
            own = top / path.lstrip("/")
            for folder in (own, *own.parents):
                if folder.is_relative_to(top):
                    yield from _group_free(folder, *GROUP_FILES[controllers])


def _group_free(folder: Path, limit: str, current: str, inactive: str) -> Iterator[int]:
    """What a control group has left; nothing where it has no limit or there is none to read."""
    with contextlib.suppress(OSError, ValueError):  # the second version's limit may be "max"
        left = int((folder / limit).read_text()) - int((folder / current).read_text())
        with contextlib.suppress(OSError):
            for line in (folder / "memory.stat").read_text().splitlines():
                name, _, value = line.partition(" ")
                left += int(value) if name == inactive else 0
        yield max(left, 0)


def _processor() -> tuple[str, list[str]]:
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in (PROC / "cpuinfo").read_text().splitlines():
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
