"""The lock that keeps a run directory to one process, and whoever asks informed whether it is held.

`train.py` holds it; `evaluate.py` watches a run for as long as it is held. Host code only.
"""

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqgen.errors import UsageError
from seqgen.run_directory import canonical_json, read_json

HEARTBEAT_SECONDS = 5.0
LOOK_SECONDS = 0.05  # longer than `is_held` has the lock


@contextlib.contextmanager
def hold(workdir: str | os.PathLike) -> Iterator[None]:
    """Holds a run directory (made if it is missing) for this process alone.

    The lock is the operating system's, so it dies with its holder. Its file names the holder and
    carries a heartbeat for file systems whose locks do not reach other machines: a holder elsewhere
    whose heartbeat goes on is respected, one whose heartbeat stands still for three beats is not.

    Raises UsageError if another process holds the directory, or if it cannot be written or locked.
    """
    path = Path(workdir) / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(f"cannot write in {workdir}: {error.strerror}") from error
    try:
        if not _take(descriptor, path, fcntl.LOCK_EX):
            holder = _holder(path)
            raise UsageError(
                f"{workdir} is in use by process {holder['pid']} on host {holder['host']}"
            )
        with _heartbeat(descriptor):
            yield
    finally:
        os.close(descriptor)


def is_held(workdir: str | os.PathLike) -> bool:
    """Whether a process holds the lock: false as soon as it is gone, whatever its last status.

    Takes three heartbeats for a holder on another machine.
    """
    path = Path(workdir) / ".lock"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not _take(descriptor, path, fcntl.LOCK_SH)  # shared, so that two may look at once
    finally:
        os.close(descriptor)


def _holder(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, UsageError):
        return read_json(path, ("pid", "host"))
    return {"pid": "unknown", "host": socket.gethostname()}


def _take(descriptor: int, path: Path, kind: int) -> bool:
    if not _locked(descriptor, path, kind):
        time.sleep(LOOK_SECONDS)  # it may have been a process in `is_held`, which locks in passing
        if not _locked(descriptor, path, kind):
            return False
    if kind == fcntl.LOCK_SH:  # a look is over before it listens: it must refuse nobody
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    # Readings are compared with each other, never with a clock: those of two machines differ.
    first = _holder(path)
    for _ in range(0 if first["host"] == socket.gethostname() else 3):
        time.sleep(HEARTBEAT_SECONDS)
        if _holder(path) != first:
            return False
    return True


def _locked(descriptor: int, path: Path, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # file systems without locks
        raise UsageError(f"{path} cannot be locked: {error.strerror}") from error
    return True


@contextlib.contextmanager
def _heartbeat(descriptor: int) -> Iterator[None]:
    def beat() -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "heartbeat": time.time()}
        # One write over the one before, always of the same length: no reader finds half of it.
        os.pwrite(descriptor, canonical_json(holder).ljust(512), 0)

    def live() -> None:
        while not released.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a disk in trouble: the next beat may succeed
                beat()

    beat()
    released = threading.Event()
    heart = threading.Thread(target=live, daemon=True)
    heart.start()
    try:
        yield
    finally:
        released.set()
        heart.join()
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
