"""The files of a run directory and the lock that keeps it to one process.

Everything that a run leaves behind, except its checkpoints, is written and read here: JSON files
that are replaced whole or not at all, `metrics.jsonl` and `status.json`. Host code only; nothing
here needs JAX.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqgen.errors import UsageError

HEARTBEAT_SECONDS = 5.0
NON_FINITE = ("NaN", "Infinity", "-Infinity")  # strings in metrics.jsonl, numbers in memory
STATUSES = ("RUNNING", "DONE", "FAILED", "PREEMPTED")


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces; tuples and arrays are lists.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    return text.encode()


def digest(value: Any) -> str:
    """SHA-256 of `canonical_json(value)`, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of the bytes of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Replaces a file whole or not at all, whatever kills the process or the machine meanwhile."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def sync(directory: str | os.PathLike) -> None:
    """Waits until the names in a directory (or the bytes of a file) are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes JSON, atomically. Raises ValueError for NaN and infinities."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: str | os.PathLike) -> Any:
    """Reads a JSON file. Raises UsageError, with the place, if it is missing or malformed."""
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except ValueError as error:  # says the line and column, or the byte
        raise UsageError(f"{path} is not JSON: {error}") from error


@contextlib.contextmanager
def lock(workdir: str | os.PathLike) -> Iterator[None]:
    """Holds a run directory (made if it is missing) for this process alone.

    The lock is the operating system's, so it dies with its holder. Its file names the holder and
    carries a heartbeat for file systems whose locks do not reach other machines: a holder elsewhere
    whose heartbeat goes on is respected, one whose heartbeat stands still for three beats is not.

    Raises UsageError if another process holds the directory, or if it cannot be written.
    """
    path = Path(workdir) / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(f"cannot write in {workdir}: {error.strerror}") from error
    try:
        if not _take(descriptor, path):
            holder = _holder(path)
            raise UsageError(
                f"{workdir} is in use by process {holder['pid']} on host {holder['host']}"
            )
        with _heartbeat(descriptor):
            yield
    finally:
        os.close(descriptor)


class MetricsLog:
    """`metrics.jsonl`, open for one attempt of a run: one flushed line per record.

    Records past `step`, where the attempt begins, are dropped: it will write them again. NaN and
    infinities, which JSON lacks, are written as the strings of `NON_FINITE`; `read_metrics` turns
    them back.
    """

    def __init__(self, workdir: str | os.PathLike, step: int) -> None:
        path = Path(workdir) / "metrics.jsonl"
        earlier = read_metrics(workdir) if path.exists() else []
        write_bytes(path, b"".join(_line(record) for record in earlier if record["step"] <= step))
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed on leaving)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends one record: `step`, `split` and any number of scalars or strings."""
        self._file.write(_line(record))


def read_metrics(workdir: str | os.PathLike) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl` in order, without a last line that is still being written.

    Raises UsageError, with the line, if another line is malformed or the file is missing.
    """
    path = Path(workdir) / "metrics.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; is {workdir} a run directory?") from error
    records = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is torn
        try:
            record = json.loads(line)
            record["step"], record["split"]  # noqa: B018  (every record has both)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{path} is damaged at line {number}: {line[:80]!r}") from error
        records.append({n: float(v) if v in NON_FINITE else v for n, v in record.items()})
    return records


def set_status(
    workdir: str | os.PathLike,
    status: str,
    *,
    step: int | None = None,
    exit_code: int | None = None,
    message: str | None = None,
) -> None:
    """Writes `status.json`: where the run stands (one of `STATUSES`), and whose process says so.

    A process that says RUNNING for the first time begins a new attempt. Without `step` the last one
    stands. Times are in seconds since 1970.
    """
    if status not in STATUSES:
        raise ValueError(f"status {status!r} is none of {', '.join(STATUSES)}")
    path, now = Path(workdir) / "status.json", time.time()
    entry = read_json(path) if path.exists() else {"step": 0, "attempt": 0}
    process = {"pid": os.getpid(), "host": socket.gethostname()}
    if status == "RUNNING" and not {"status": status, **process}.items() <= entry.items():
        entry |= {"attempt": entry["attempt"] + 1, "started": now}
    if step is not None:
        entry["step"] = int(step)
    outcome = {"status": status, "exit_code": exit_code, "message": message, "updated": now}
    write_json(path, {**entry, **process, **outcome})


def read_status(workdir: str | os.PathLike) -> dict[str, Any]:
    """The content of `status.json`. Raises UsageError if there is none."""
    return read_json(Path(workdir) / "status.json")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy and JAX arrays and scalars
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} has no place in JSON")


def _line(record: Mapping[str, Any]) -> bytes:
    plain = {name: getattr(value, "tolist", lambda v=value: v)() for name, value in record.items()}
    for name, value in plain.items():
        if isinstance(value, float) and not math.isfinite(value):
            plain[name] = json.dumps(value)  # the word, to be quoted
    return json.dumps(plain, allow_nan=False).encode() + b"\n"


def _holder(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    return {"pid": "unknown", "host": socket.gethostname()}


def _take(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Readings are compared with each other, never with a clock: those of two machines differ.
    first = _holder(path)
    for _ in range(0 if first["host"] == socket.gethostname() else 3):
        time.sleep(HEARTBEAT_SECONDS)
        if _holder(path) != first:
            return False
    return True


@contextlib.contextmanager
def _heartbeat(descriptor: int) -> Iterator[None]:
    def beat() -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "heartbeat": time.time()}
        # One write over the one before, always of the same length: no reader finds half of it.
        os.pwrite(descriptor, canonical_json(holder).ljust(512), 0)

    def live() -> None:
        while not released.wait(HEARTBEAT_SECONDS):
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
        os.ftruncate(descriptor, 0)
