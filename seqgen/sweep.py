"""Many runs of one question: the verb `sweep`.

The trials (`trials.py`) are ordinary run directories, called after a digest of their config, so
what is done is never done again. Those that are not are put into jobs, which a backend runs; what
became of each is read from its run directory (`ledger.py`).
"""

import itertools
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import config_dict

from seqgen import config as configs
from seqgen import lanes, ledger, report, run_directory, run_lock, run_state, standings, trials
from seqgen.backends import End, Job, local, slurm
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.progress import Progress
from seqgen.run_state import State
from seqgen.session import refuse_another_run
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
    jobs: int | None = None  # at a time; None: one for each accelerator, or one; of Slurm: all
    minutes: float | None = None  # that a job may take
    retries: int = 0
    retry_failed: bool = False
    compilation_cache: bool = True
    slurm: list[str] | None = None  # options of sbatch; None: the jobs run on this machine

    def slots(self) -> int:
        """Jobs that there should be at least."""
        here = 0 if self.slurm is not None else len(local.accelerators())
        return self.jobs or here or 1


def define(
    config: config_dict.ConfigDict | None,
    experiment: str | None,
    grid: str | None,
    file: Path | None,
    command: str,
) -> Definition:
    """Raises UsageError for what is no sweep."""
    if (grid is None) == (file is None):
        raise UsageError("sweep needs either --grid='FIELD=VALUE,VALUE; …' or --sweep=FILE.py")
    if grid is not None and config is None:
        raise UsageError("--grid is around a config: sweep needs --config=FILE.py too")
    found = trials.of_grid(grid, config) if file is None else trials.of_file(str(file), config)
    around = None if config is None else configs.to_json(config)
    return Definition(found, experiment, around, grid, file, command)


def grouped(todo: Sequence[Trial], slots: int) -> list[list[Trial]]:
    """The trials of each job: those that may share a process, so divided that no slot is idle."""
    groups, jobs = lanes.groups([trial.config for trial in todo]), []
    for group in groups:
        parts = min(math.ceil(slots / len(groups)), len(group))
        ends = [len(group) * part // parts for part in range(parts + 1)]
        jobs += [group[first:end] for first, end in itertools.pairwise(ends)]
    return [[todo[number] for number in job] for job in jobs]


def look(definition: Definition, workdir: Path, manner: Manner) -> str:
    """What a sweep would do, as text; writes nothing."""
    run_directory.refuse_file(workdir)
    found = definition.trials
    states = standing_now(found, workdir, queued_jobs(workdir))
    earlier_sweep(definition, workdir, states)
    jobs = grouped(undone(found, states, manner.retry_failed), manner.slots())
    job_of = {trial.digest: n for n, job in enumerate(jobs, start=1) for trial in job}
    names = standings.fields(found)
    rows = [[*standings.header(names), "job", "run"]]
    for number, trial in enumerate(found, start=1):
        row = standings.row(number, trial, names, states[trial.digest], workdir)
        rows.append([*row, str(job_of.get(trial.digest, "")), str(workdir / trial.run)])
    in_jobs = f"; to run in {len(jobs)} job{'s' * (len(jobs) > 1)}" if jobs else ""
    lines = [standings.aligned(rows), f"{len(found)} trials in {workdir}: "]
    lines[-1] += standings.counted(states.values()) + in_jobs
    return "\n".join([*lines, *troubles(found, states, workdir)])


def earlier_sweep(
    definition: Definition, workdir: Path, states: dict[str, State]
) -> dict[str, Any] | None:
    """The `sweep.json` that is there. Raises UsageError where it or a run is of another config."""
    earlier = ledger.read(workdir)
    ledger.refuse_another_config(earlier, definition.around, workdir)
    for trial in definition.trials:
        if states[trial.digest] is not State.DAMAGED:  # which is left as it is, whatever it holds
            refuse_another_run(trial.config, workdir / trial.run)
    return earlier


def queued_jobs(workdir: Path) -> dict[Job, bool]:
    """The jobs of earlier sweeps of the directory that Slurm has, and whether they run."""
    groups = slurm.queued(workdir / "jobs")
    return {ledger.read_job(group): runs for group, runs in groups.items()}


def standing_now(found: list[Trial], workdir: Path, queued: dict[Job, bool]) -> dict[str, State]:
    """Digest -> how the trial stands."""
    runs = {trial.digest: workdir / trial.run for trial in found}
    in_queue = {run: begun for job, begun in queued.items() for run in job.runs}
    # of those in the queue it need not be asked whether they are held, which takes long from afar
    asked = [run for run in runs.values() if run not in in_queue]
    now = {run: State.RUNNING if begun else State.QUEUED for run, begun in in_queue.items()}
    looks = zip(asked, run_state.look_at(asked), strict=True)
    now |= {run: state for run, (state, _) in looks}
    return {digest: now[run] for digest, run in runs.items()}


def undone(found: list[Trial], states: dict[str, State], retry_failed: bool) -> list[Trial]:
    """Those that are to run."""
    wanted = {State.NEW, State.STOPPED, State.KILLED} | ({State.FAILED} if retry_failed else set())
    return [trial for trial in found if states[trial.digest] in wanted]


def troubles(found: list[Trial], states: dict[str, State], workdir: Path) -> Iterator[str]:
    """Lines: which trials failed or are damaged, and why."""
    for trial in found:
        run, state = workdir / trial.run, states[trial.digest]
        if state not in (State.FAILED, State.DAMAGED):
            continue
        yield f"{state}: {trials.spoken(trial.chosen)} ({run})"
        why = ledger.failures(workdir, run) if state is State.FAILED else [run_state.look(run)[1]]
        yield from (f"  {line}" for line in why)


def main(definition: Definition, workdir: Path, manner: Manner) -> None:
    """Runs what is not done.

    Raises Interrupted after a signal, when all jobs have ended, Failure where trials are not done
    in the end, UsageError where another sweep works in the directory.
    """
    with (
        run_lock.hold(workdir),
        Interrupt() as interrupt,
        Progress(workdir / "log.txt") as progress,
    ):
        found, queued = definition.trials, queued_jobs(workdir)
        watch = Watch(found, standing_now(found, workdir, queued), workdir, progress)
        record(definition, workdir, watch.states)
        progress.say(watch.line())
        todo = undone(found, watch.states, manner.retry_failed)
        followed = [job for job in queued if manner.slurm is not None and watch.knows(job)]
        awaited = {run for job in followed for run in job.runs}
        tried = todo + [trial for trial in found if workdir / trial.run in awaited]
        for _ in range(manner.retries + 1):
            jobs = [ledger.write_job(workdir, group) for group in grouped(todo, manner.slots())]
            if not (jobs or followed) or interrupt.requested:
                break
            run(jobs, followed, manner, watch, interrupt)
            todo = [trial for trial in tried if watch.states[trial.digest] is State.FAILED]
            tried, followed = todo, []
        queued = queued_jobs(workdir)
        states = standing_now(found, workdir, queued)
        for line in troubles(found, states, workdir):
            progress.say(line)
        counted = f"{len(found)} trials in {workdir}: {standings.counted(states.values())}"
        if interrupt.requested:
            outcome = go_on(counted, workdir, bool(queued), watch.unsaved)
            raise Interrupted(interrupt.requested, outcome)
        progress.say(counted)  # first: it stands whatever becomes of the page
        progress.say(f"report: {report.report(workdir)}")
        conclude(counted, set(states.values()))


def go_on(counted: str, workdir: Path, queued: bool, unsaved: int) -> str:
    """What becomes of the jobs after a signal, and how to go on."""
    if not queued:
        saved = f"{unsaved} killed before they had saved" if unsaved else "all saved"
        return f", {saved}; {counted}: run it again to go on"
    stops = slurm.cancelling(workdir / "jobs")
    return f"; {counted}; Slurm's jobs go on: run it again to follow them, {stops} stops them"


def conclude(counted: str, states: set[State]) -> None:
    """Raises Failure where trials are not done in the end."""
    if State.FAILED in states:
        raise Failure(f"{counted}; --retry_failed tries again what failed")
    if State.DAMAGED in states:
        raise Failure(f"{counted}; remove a damaged run to train it anew")
    if states != {State.DONE}:
        raise Failure(f"{counted}; run it again to go on")


def record(definition: Definition, workdir: Path, states: dict[str, State]) -> None:
    """Writes `sweep.json`: this sweep, and the trials of those that were here before."""
    earlier = earlier_sweep(definition, workdir, states)
    ledger.write_configs(workdir, definition.trials, states)
    listed = ledger.all_trials(earlier, definition.trials, workdir)
    before = ledger.sweeps_before(earlier, definition.grid, definition.file)
    here = {"trials": listed, "earlier": before}
    run_directory.write_json(workdir / "sweep.json", definition._asdict() | here)


def run(
    jobs: list[Job], followed: list[Job], manner: Manner, watch: "Watch", interrupt: Interrupt
) -> None:
    """Runs the jobs, each to its end or to where a signal lets it save.

    Slurm's go on after a signal; those that are `followed` have been queued before.
    """
    cache = [] if manner.compilation_cache else ["--nocompilation_cache"]
    command = [sys.executable, str(manner.launcher), "train", *cache]
    watch.begin([*jobs, *followed])
    if manner.slurm is not None:
        slurm.submit(jobs, command, manner.slurm, manner.jobs)
        slurm.follow([*jobs, *followed], ended=watch.ended, tick=watch.tick, interrupt=interrupt)
        return
    local.run(
        jobs,
        command,
        local.machine(min(manner.slots(), len(jobs))),
        minutes=manner.minutes,
        ended=watch.ended,
        tick=watch.tick,
        interrupt=interrupt,
    )


class Watch:
    """How the trials stand while their jobs run; shows it, and says what became of each."""

    def __init__(
        self, found: list[Trial], states: dict[str, State], workdir: Path, progress: Progress
    ) -> None:
        self.states = states
        self.unsaved = 0  # runs that were killed before they had saved
        self._numbered = {workdir / t.run: (n, t) for n, t in enumerate(found, start=1)}
        self._workdir, self._progress = workdir, progress
        self._before: dict[Path, dict[str, Any] | None] = {}
        self._looked = -math.inf

    def knows(self, job: Job) -> bool:
        """Whether it is a job of these trials."""
        return all(run in self._numbered for run in job.runs)

    def begin(self, jobs: list[Job]) -> None:
        """Before they start: what their runs' statuses were."""
        self._before = {run: run_state.status(run) for job in jobs for run in job.runs}
        self._mark(self._before, State.QUEUED)

    def ended(self, job: Job, end: End) -> None:
        before = [self._before[run] for run in job.runs]
        self.unsaved += ledger.settle(job, end, before, self._workdir)
        for run in job.runs:
            _, trial = self._numbered[run]
            del self._before[run]
            state, _ = run_state.look(run)
            self.states[trial.digest] = state
            said = run_state.status(run)
            why = "its job did not begin" if said is None else said.get("message")
            self._progress.say(f"{trials.spoken(trial.chosen)}: {state} ({why})")

    def tick(self, running: list[Job]) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        runs = [run for job in running for run in job.runs]
        self._mark(self._before, State.QUEUED)  # a job of Slurm's may have been put back
        self._mark(runs, State.RUNNING)
        names = standings.fields(trial for _, trial in self._numbered.values())
        rows = [
            standings.row(*self._numbered[run], names, State.RUNNING, self._workdir) for run in runs
        ]
        shown = ["  ".join(filter(None, row)) for row in rows[:PLAIN]]
        picture = standings.pictured(self.line(), names, rows)
        self._progress.show("\n  ".join([self.line(), *shown]), picture)

    def _mark(self, runs: Iterable[Path], state: State) -> None:
        for run in runs:
            self.states[self._numbered[run][1].digest] = state

    def line(self) -> str:
        """How many trials stand how."""
        return f"{len(self.states)} trials: {standings.counted(self.states.values())}"
