"""What state a run directory is in: for all that train runs, use finished ones or report of many.

Host code only.
"""

import enum
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from seqgen import config as configs
from seqgen import run_directory, run_lock
from seqgen.errors import UsageError

AT_ONCE = 64  # directories that are asked about


class State(enum.StrEnum):
    """How a run stands."""

    DONE = "done"
    FAILED = "failed"
    DAMAGED = "damaged"  # its records can't be read
    RUNNING = "running"
    QUEUED = "queued"  # its job will begin: a sweep knows, the directory does not
    STOPPED = "stopped"  # as it was asked to: it goes on from its last checkpoint
    KILLED = "killed"  # with no time to say so: it goes on in the same way
    NEW = "to do"


# of `run_directory.STATUSES` what it means where no process holds the run
SAID = {
    "RUNNING": State.KILLED,
    "DONE": State.DONE,
    "FAILED": State.FAILED,
    "PREEMPTED": State.STOPPED,
}


def stored_config(run: Path) -> config_dict.ConfigDict:
    """The config that a run directory has. Raises UsageError, which names the file."""
    file = run / "config.json"
    stored = run_directory.read_json(file, configs.PARTS)
    try:
        return configs.from_json(stored)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def status(run: Path) -> dict[str, Any] | None:
    """What the run has said of itself last. Raises UsageError where that is damaged."""
    return run_directory.read_status(run) if (run / "status.json").exists() else None


def state(run: Path) -> State:
    """Of a run directory, whether or not there is one. Raises UsageError for a damaged record.

    What a run has said last counts for as long as no process holds it: one that was killed still
    says that it is running, and one that has just begun again that it failed.
    """
    if (run / "config.json").exists():
        stored_config(run)
    said = status(run)
    if said is not None and said["status"] not in SAID:
        raise UsageError(f"{run / 'status.json'} is damaged: its status is {said['status']!r}")
    if said is not None and said["status"] == "DONE":
        return State.DONE
    if run_lock.is_held(run):
        return State.RUNNING
    return State.NEW if said is None else SAID[said["status"]]


def look(run: Path) -> tuple[State, str]:
    """As `state`, but a damaged record is a state too, and what is wrong with it stands beside."""
    try:
        return state(run), ""
    except UsageError as error:
        return State.DAMAGED, str(error)


def look_at(runs: Collection[Path]) -> list[tuple[State, str]]:
    """As `look`, at all of them at once: a run on another machine takes seconds to answer."""
    with ThreadPoolExecutor(max(1, min(len(runs), AT_ONCE))) as pool:
        return list(pool.map(look, runs))
