"""Jobs as processes of this machine: so many at a time, cores, memory and accelerators divided."""

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seqgen import environment
from seqgen.backends import End, Ended, Job, Tick
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.progress import duration

POLL_SECONDS = 0.2
GRACE_SECONDS = 60.0  # from the signal that asks a process to save, until it is killed
GRACE_SECONDS_A_RUN = 10.0  # more, for each but the first: they save one after the other


class Slot(NamedTuple):
    """What one of the processes that run at a time has of the machine."""

    cores: tuple[int, ...]  # empty: the system can't tell
    environ: Mapping[str, str]


class Running(NamedTuple):
    """A job's process."""

    job: Job
    process: subprocess.Popen
    slot: Slot
    began: float


def accelerators() -> list[str]:
    """The NVIDIA devices that a process started here may use, by their names to CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device.strip() for device in visible.split(",") if device.strip()]
    found = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number, _ in enumerate(found.iterdir())] if found.exists() else []


def slots(number: int, cores: Sequence[int], devices: Sequence[str]) -> list[Slot]:
    """The machine divided among so many processes; they take turns where there is too little."""
    made = []
    for slot in range(number):
        environ = {environment.MEMORY_SHARE: f"{1 / number:.3f}"}
        if devices:
            environ["CUDA_VISIBLE_DEVICES"] = ",".join(_share(devices, slot, number))
        if number > len(devices) > 0:  # JAX takes most of a device's memory, whoever else is there
            together = -(-number // len(devices))
            environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / together:.3f}"
        made.append(Slot(tuple(_share(cores, slot, number)), environ))
    return made


def _share(things: Sequence, slot: int, number: int) -> Sequence:
    if number > len(things):
        return things[slot % len(things) : slot % len(things) + 1] if things else things
    return things[slot * len(things) // number : (slot + 1) * len(things) // number]


def machine(number: int) -> list[Slot]:
    """This machine's slots."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()
    return slots(number, cores, accelerators())


def grace(job: Job) -> float:
    """Seconds that a job's process has to save."""
    return GRACE_SECONDS + GRACE_SECONDS_A_RUN * (len(job.runs) - 1)


def run(
    jobs: Sequence[Job],
    command: Sequence[str],
    free: Sequence[Slot],
    *,
    minutes: float | None,
    ended: Ended,
    tick: Tick,
    interrupt: Interrupt,
) -> None:
    """Runs all jobs, one a slot; after a signal starts none, and waits until all have saved.

    Args:
      command: what a job's process is, but for its `--group=FILE`.
      minutes: that a process may take, then it is asked to save and stop.
    """
    waiting, free, running = deque(jobs), deque(free), []
    asked: dict[int, tuple[float, str]] = {}  # process -> when it was asked to stop, and why
    limit = f"stopped at its time limit of {duration(60 * (minutes or 0))}"
    try:
        while running or (waiting and not interrupt.requested):
            while free and waiting and not interrupt.requested:
                running.append(start(waiting.popleft(), command, free.popleft()))
            tick([one.job for one in running])
            time.sleep(POLL_SECONDS)
            for one in list(running):
                code, pid, now = one.process.poll(), one.process.pid, time.monotonic()
                late = minutes is not None and now - one.began > 60 * minutes
                if code is not None:
                    running.remove(one)
                    free.append(one.slot)
                    _, why = asked.pop(pid, (now, None))
                    # a signal also ends a process that was not yet ready to save, or too slow
                    by_signal = why is not None and code < 0
                    killed = by_signal and code != -signal.SIGTERM
                    ended(one.job, End(Interrupted.exit_code if by_signal else code, why, killed))
                elif pid not in asked and (late or interrupt.requested):
                    asked[pid] = now, limit if late else f"stopped by {interrupt.requested}"
                    one.process.terminate()
                elif pid in asked and now - asked[pid][0] > grace(one.job):
                    one.process.kill()
    finally:  # where something failed here, nothing is left to run by itself
        for one in running:
            one.process.terminate()
        for one in running:
            try:
                one.process.wait(grace(one.job))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


def start(job: Job, command: Sequence[str], slot: Slot) -> Running:
    """In a session of its own, so that Ctrl-C reaches it once and through us."""
    with open(job.output, "ab") as output:
        process = subprocess.Popen(
            [*command, f"--group={job.group}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | slot.environ,
            start_new_session=True,
        )
    if slot.cores:
        with contextlib.suppress(ProcessLookupError):  # it is over already
            os.sched_setaffinity(process.pid, slot.cores)
    return Running(job, process, slot, time.monotonic())
