"""Where the jobs of a sweep run: `local` processes, or `slurm`.

Either has a `run` that takes jobs, calls `ended` as each of them ends and `tick` between, and
returns when none is left or a signal has stopped all.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """One process, `launch.py train --group=FILE`."""

    group: Path  # names the run directories, one a line, from its own directory
    output: Path  # what the process prints
    runs: tuple[Path, ...]


class End(NamedTuple):
    """How a job's process ended."""

    exit_code: int | None  # None: not known
    reason: str | None  # where whoever runs it knows more than the code says
    killed: bool = False  # it was asked to save, and what had not by then is as it last was


Ended = Callable[[Job, End], None]
Tick = Callable[[list[Job]], None]  # takes the jobs that run
