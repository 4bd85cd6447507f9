"""The files of a run directory.

Everything that a run leaves behind, except its checkpoints, is written and read here: JSON files
that are replaced whole or not at all, `metrics.jsonl` and `status.json`. Host code only; nothing
here needs JAX.
"""

import hashlib
import io
import json
import math
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seqgen.errors import UsageError

NON_FINITE = ("NaN", "Infinity", "-Infinity")  # strings in metrics.jsonl, numbers in memory
BEGAN = time.time()  # tells this process from an earlier one of its number, as in a container
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


def read_json(path: str | os.PathLike, keys: Iterable[str] = ()) -> Any:
    """Reads a JSON file. Raises UsageError, with the place, if it is missing or malformed.

    With `keys` it must be an object that has them all.
    """
    try:
        found = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except ValueError as error:  # says the line and column, or the byte
        raise UsageError(f"{path} is not JSON: {error}") from error
    refuse_without(found, keys, path)
    return found


def refuse_without(found: Any, keys: Iterable[str], path: str | os.PathLike) -> None:
    """Raises UsageError unless what a file holds is an object that has these keys."""
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            raise UsageError(f"{path} is damaged: {key} is missing")


def refuse_file(workdir: Path) -> None:
    """Raises UsageError for a place that is no directory, before anything is made there."""
    if workdir.exists() and not workdir.is_dir():
        raise UsageError(f"{workdir} is no directory; give another --workdir")


def folder(workdir: str | os.PathLike, name: str) -> Path:
    """A folder of the run, made if it is missing."""
    path = Path(workdir) / name
    path.mkdir(exist_ok=True)
    return path


class MetricsLog:
    """`metrics.jsonl`, open for one attempt of a run: one flushed line per record.

    Records past `step`, where the attempt begins, are dropped: it will write them again; so are
    evaluations at `step`, if that is still to be evaluated. NaN and infinities, which JSON lacks,
    are written as the strings of `NON_FINITE`; `read_metrics` turns them back.
    """

    def __init__(self, workdir: str | os.PathLike, step: int, *, evaluated: bool = True) -> None:
        path = Path(workdir) / "metrics.jsonl"
        earlier = read_metrics(workdir) if path.exists() else []
        kept = [r for r in earlier if r["step"] <= step]
        if not evaluated:
            kept = [r for r in kept if r["step"] < step or r["split"] == "train"]
        write_bytes(path, b"".join(_line(record) for record in kept))
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed on leaving)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends one record, all or nothing: `step`, `split`, any number of scalars or strings.

        Raises OSError where it cannot be written, such as on a full disk.
        """
        append(self._file, _line(record))


def append(file: io.FileIO, line: bytes) -> None:
    """Writes a line at the end of a file, all or nothing. Raises OSError where it cannot."""
    rest, end = line, file.seek(0, os.SEEK_END)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        file.truncate(end)  # a later line after half of this one would damage both
        raise OSError(error.errno, error.strerror, file.name) from error


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
    begun = {"step": 0, "attempt": 0}
    entry = read_json(path, begun) if path.exists() else begun
    process = {"pid": os.getpid(), "host": socket.gethostname(), "began": BEGAN}
    if status == "RUNNING" and not {"status": status, **process}.items() <= entry.items():
        entry |= {"attempt": entry["attempt"] + 1, "started": now}
    if step is not None:
        entry["step"] = int(step)
    outcome = {"status": status, "exit_code": exit_code, "message": message, "updated": now}
    write_json(path, {**entry, **process, **outcome})


def read_status(workdir: str | os.PathLike) -> dict[str, Any]:
    """The content of `status.json`. Raises UsageError if there is none."""
    return read_json(Path(workdir) / "status.json", ("status",))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # NumPy and JAX arrays and scalars
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} has no place in JSON")


def spelled(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with plain numbers, and NaN and infinities as the strings of `NON_FINITE`."""
    plain = {name: getattr(value, "tolist", lambda v=value: v)() for name, value in record.items()}
    for name, value in plain.items():
        if isinstance(value, float) and not math.isfinite(value):
            plain[name] = json.dumps(value)  # the word, to be quoted
    return plain


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(spelled(record), allow_nan=False).encode() + b"\n"
