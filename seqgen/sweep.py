"""Many runs of one question: the verb `sweep`.

The trials (`trials.py`) are ordinary run directories, called after a digest of their config, so
what is done is never done again. Those that are not are put into jobs, which a backend runs; what
became of each is read from its run directory (`ledger.py`).
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqgen import config as configs
from seqgen import ledger, run_directory, run_lock, standings, trials
from seqgen.backends import End, Job, local
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.ledger import State
from seqgen.progress import Progress
from seqgen.trials import Trial

LOOK_SECONDS = 1.0  # between two looks at the records of the runs
PLAIN = 4  # running trials that are shown where no terminal is watched


class Definition(NamedTuple):
    """What a sweep is."""

    trials: list[Trial]
    experiment: str | None  # as the command line names it; None: the trials name theirs
    around: dict[str, Any] | None  # its config, with what the command line changes, as JSON
    grid: str | None
    file: Path | None
    command: str  # as it was typed


class Manner(NamedTuple):
    """How it is run."""

    launcher: Path  # launch.py
    jobs: int | None  # at a time; None: one for each accelerator, or one
    minutes: float | None  # that a job may take
    retries: int
    retry_failed: bool
    compilation_cache: bool


def define(
    config: Any, experiment: str | None, grid: str | None, file: Path | None, command: str
) -> Definition:
    """Raises UsageError for what is no sweep."""
    if (grid is None) == (file is None):
        raise UsageError("sweep needs either --grid='FIELD=VALUE,VALUE; …' or --sweep=FILE.py")
    if grid is not None and config is None:
        raise UsageError("--grid is around a config: sweep needs --config=FILE.py too")
    found = trials.of_grid(grid, config) if file is None else trials.of_file(str(file), config)
    around = None if config is None else configs.to_json(config)
    return Definition(found, experiment, around, grid, file, command)


def grouped(todo: Sequence[Trial]) -> list[list[Trial]]:
    """The trials of each job."""
    return [[trial] for trial in todo]


def look(definition: Definition, workdir: Path, *, retry_failed: bool) -> str:
    """What a sweep would do, as text; writes nothing."""
    ledger.refuse_another_config(ledger.read(workdir), definition.around, workdir)
    found = definition.trials
    states = {trial.digest: ledger.state(workdir / trial.run) for trial in found}
    jobs = grouped(undone(found, states, retry_failed))
    job_of = {trial.digest: n for n, job in enumerate(jobs, start=1) for trial in job}
    names = standings.fields(found)
    rows = [[*standings.header(names), "job", "run"]]
    for number, trial in enumerate(found, start=1):
        row = standings.row(number, trial, names, states[trial.digest], workdir)
        rows.append([*row, str(job_of.get(trial.digest, "")), str(workdir / trial.run)])
    in_jobs = f"; to run in {len(jobs)} jobs" if jobs else ""
    lines = [standings.aligned(rows), f"{len(found)} trials in {workdir}: "]
    lines[-1] += standings.counted(states.values()) + in_jobs
    return "\n".join([*lines, *failed(found, states, workdir)])


def undone(found: list[Trial], states: dict[str, State], retry_failed: bool) -> list[Trial]:
    """Those that are to run."""
    wanted = (State.NEW, State.STOPPED, *((State.FAILED,) if retry_failed else ()))
    return [trial for trial in found if states[trial.digest] in wanted]


def failed(found: list[Trial], states: dict[str, State], workdir: Path) -> Iterator[str]:
    """Lines: which trials failed, and why."""
    for trial in found:
        if states[trial.digest] is State.FAILED:
            yield f"failed: {trials.spoken(trial.chosen)} ({workdir / trial.run})"
            yield from (f"  {line}" for line in ledger.failures(workdir, workdir / trial.run))


def main(definition: Definition, workdir: Path, manner: Manner) -> None:
    """Runs what is not done.

    Raises Interrupted after a signal, when all jobs have saved, Failure where trials are not done
    in the end, UsageError where another sweep works in the directory.
    """
    with (
        run_lock.hold(workdir),
        Interrupt() as interrupt,
        Progress(workdir / "log.txt") as progress,
    ):
        watch = Watch(definition.trials, workdir, progress)
        record(definition, workdir, watch.states)
        progress.say(watch.line())
        todo = undone(definition.trials, watch.states, manner.retry_failed)
        for _ in range(manner.retries + 1):
            jobs = [ledger.write_job(workdir, group) for group in grouped(todo)]
            if not jobs or interrupt.requested:
                break
            run(jobs, manner, watch, interrupt)
            todo = [trial for trial in todo if watch.states[trial.digest] is State.FAILED]
        conclude(definition.trials, watch.states, workdir, interrupt, progress)


def record(definition: Definition, workdir: Path, states: dict[str, State]) -> None:
    """Writes `sweep.json`: this sweep, and the trials of those that were here before."""
    earlier = ledger.read(workdir)
    ledger.refuse_another_config(earlier, definition.around, workdir)
    ledger.write_configs(workdir, definition.trials, states)
    listed = ledger.all_trials(earlier, definition.trials, workdir)
    run_directory.write_json(workdir / "sweep.json", definition._asdict() | {"trials": listed})


def run(jobs: list[Job], manner: Manner, watch: "Watch", interrupt: Interrupt) -> None:
    """Runs the jobs, each to its end or to where a signal lets it save."""
    cache = [] if manner.compilation_cache else ["--nocompilation_cache"]
    watch.begin(jobs)
    local.run(
        jobs,
        [sys.executable, str(manner.launcher), "train", *cache],
        local.machine(manner.jobs or len(local.accelerators()) or 1),
        minutes=manner.minutes,
        ended=watch.ended,
        tick=watch.tick,
        interrupt=interrupt,
    )


class Watch:
    """How the trials stand while their jobs run; shows it, and says what became of each."""

    def __init__(self, found: list[Trial], workdir: Path, progress: Progress) -> None:
        self.states = {trial.digest: ledger.state(workdir / trial.run) for trial in found}
        self._numbered = {workdir / t.run: (n, t) for n, t in enumerate(found, start=1)}
        self._workdir, self._progress = workdir, progress
        self._before: dict[Path, dict[str, Any] | None] = {}
        self._looked = -math.inf

    def begin(self, jobs: list[Job]) -> None:
        """Before they start: what their runs' statuses were."""
        self._before = {run: ledger.status(run) for job in jobs for run in job.runs}

    def ended(self, job: Job, end: End) -> None:
        ledger.settle(job, end, [self._before[run] for run in job.runs], self._workdir)
        for run in job.runs:
            _, trial = self._numbered[run]
            self.states[trial.digest] = ledger.state(run)
            became = f"{self.states[trial.digest]} ({ledger.status(run)['message']})"
            self._progress.say(f"{trials.spoken(trial.chosen)}: {became}")

    def tick(self, running: list[Job]) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        names = standings.fields(trial for _, trial in self._numbered.values())
        rows = []
        for job in running:
            for run in job.runs:
                number, trial = self._numbered[run]
                self.states[trial.digest] = State.RUNNING
                rows.append(standings.row(number, trial, names, State.RUNNING, self._workdir))
        shown = ["  ".join(filter(None, row)) for row in rows[:PLAIN]]
        picture = standings.pictured(self.line(), names, rows)
        self._progress.show("\n  ".join([self.line(), *shown]), picture)

    def line(self) -> str:
        """How many trials stand how."""
        return f"{len(self.states)} trials: {standings.counted(self.states.values())}"


def conclude(
    found: list[Trial],
    states: dict[str, State],
    workdir: Path,
    interrupt: Interrupt,
    progress: Progress,
) -> None:
    """Says how the sweep ended. Raises Interrupted or Failure where trials are not done."""
    for line in failed(found, states, workdir):
        progress.say(line)
    counted = f"{len(found)} trials in {workdir}: {standings.counted(states.values())}"
    if interrupt.requested:
        raise Interrupted(interrupt.requested, f", all saved; {counted}: run it again to go on")
    if State.FAILED in states.values():
        raise Failure(f"{counted}; --retry_failed tries again what failed")
    if set(states.values()) != {State.DONE}:
        raise Failure(f"{counted}; run it again to go on")
    progress.say(counted)
