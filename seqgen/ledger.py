"""What a sweep has done: its directory's records, read and written.

`sweep.json` lists the trials, the run directories say how each stands, `jobs/` has what each job
was and printed, `ledger.jsonl` how each attempt at a run ended.
"""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqgen import config as configs
from seqgen import run_directory, run_lock
from seqgen.backends import End, Job
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupted
from seqgen.run_state import State, status, stored_config
from seqgen.trials import Trial, listed

KEYS = ("experiment", "grid", "file", "command", "around", "trials")
LAST_LINES = 4
ASKED = (Interrupted.exit_code, 128 + signal.SIGTERM)  # the latter before it could save
TAIL_BYTES = 16_384


def read(workdir: Path) -> dict[str, Any] | None:
    """`sweep.json`, None where the directory holds no sweep yet.

    Raises UsageError where it holds a run.
    """
    if (workdir / "config.json").exists():
        raise UsageError(f"{workdir} holds a run; give another --workdir for a sweep")
    file = workdir / "sweep.json"
    if not file.exists():
        return None
    stored = run_directory.read_json(file, KEYS)
    listed(stored, file)
    return stored


def refuse_another_config(
    earlier: dict[str, Any] | None, around: dict[str, Any] | None, workdir: Path
) -> None:
    """Raises UsageError where the directory's trials are not around the same config.

    They would stand in one table and differ in what it does not show.
    """
    if earlier is None or earlier["around"] == around:
        return
    if earlier["around"] is None or around is None:
        raise UsageError(
            f"{workdir} holds a sweep that names its configs in another way; give another --workdir"
        )
    before, now = (configs.from_json(stored) for stored in (earlier["around"], around))
    may = set(configs.MAY_CHANGE_ON_RESUME) - {"num_steps"}
    changed = {n: c for n, c in configs.differences(before, now).items() if n not in may}
    if changed:
        listed = ", ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        raise UsageError(
            f"{workdir} holds a sweep around another config ({listed}); give another --workdir, or "
            "make that a field of the sweep"
        )


def sweeps_before(earlier: dict[str, Any] | None, grid: str | None, file: Path | None) -> int:
    """How often the directory has been given another sweep before this one."""
    if earlier is None:
        return 0
    same = earlier["grid"] == grid and earlier["file"] == (None if file is None else str(file))
    return earlier.get("earlier", 0) + (not same)


def all_trials(earlier: dict[str, Any] | None, trials: Sequence[Trial], workdir: Path) -> list[Any]:
    """The trials of the directory for `sweep.json`: those of earlier sweeps first, each once.

    Every one has a value for every field that any of them chooses, so that they make one table. Of
    one whose run is removed or damaged it is not known; what it chose itself stands.
    """
    before = earlier["trials"] if earlier else []
    known = {entry["digest"]: entry["chosen"] for entry in before}
    made = {trial.digest: trial for trial in trials}
    for digest, trial in made.items():
        known[digest] = known.get(digest, {}) | trial.chosen
    names = list(dict.fromkeys(name for chosen in known.values() for name in chosen))
    found = []
    for digest, chosen in known.items():
        run = Path("runs") / digest[:16]
        row = chosen
        if any(name not in chosen for name in names):
            with contextlib.suppress(UsageError):
                stored = made[digest].config if digest in made else stored_config(workdir / run)
                fields = configs.fields(stored)
                row = dict.fromkeys(names) | fields | chosen
        row = {name: row[name] for name in names if name in row}  # in one order
        found.append({"digest": digest, "run": run, "chosen": row})
    return found


def write_configs(workdir: Path, found: Sequence[Trial], states: dict[str, State]) -> None:
    """Makes the run directories of trials that are to begin or to go on."""
    for trial in found:
        run = workdir / trial.run
        kept = states[trial.digest] in (State.DONE, State.RUNNING, State.QUEUED, State.DAMAGED)
        if not (kept and (run / "config.json").exists()):
            run.mkdir(parents=True, exist_ok=True)
            run_directory.write_json(run / "config.json", configs.to_json(trial.config))


def write_job(workdir: Path, trials: Sequence[Trial]) -> Job:
    """Writes the file that lists a job's runs."""
    identity = run_directory.digest([trial.digest for trial in trials])[:16]
    job = Job(
        workdir / "jobs" / f"{identity}.txt",
        workdir / "jobs" / f"{identity}.log",
        tuple(workdir / trial.run for trial in trials),
    )
    job.group.parent.mkdir(exist_ok=True)
    lines = "".join(f"{os.path.relpath(run, job.group.parent)}\n" for run in job.runs)
    run_directory.write_bytes(job.group, lines.encode())
    return job


def read_job(group: Path) -> Job:
    """The job that `write_job` wrote."""
    workdir = group.parent.parent
    lines = group.read_text().splitlines()
    runs = tuple(workdir / "runs" / Path(line).name for line in lines)
    return Job(group, group.with_suffix(".log"), runs)


def settle(job: Job, end: End, before: Sequence[dict[str, Any] | None], workdir: Path) -> int:
    """Sees that every run of a job that ended has a status that says how, and notes it.

    A process that was killed, or refused to begin, has not written one itself. A job that has not
    begun, since it was taken out of a queue, leaves its runs as they were.

    Args:
      before: the runs' `status` when the job began.

    Returns how many of the runs were killed before they had saved.
    """
    unsaved = 0
    if end.exit_code is None and not job.output.exists():
        return unsaved
    for run, earlier in zip(job.runs, before, strict=True):
        now = status(run)
        spoken = now is not None and now != earlier and now["status"] != "RUNNING"
        finished = now is not None and now["status"] == "DONE"
        if run_lock.is_held(run):  # by another job, whose status it is
            continue
        if not spoken and not finished:
            stopped = end.exit_code in ASKED
            message = end.reason or reason(end.exit_code, job.output, run)
            if end.killed:
                unsaved += 1
                message += ", killed before it had saved"
            run_directory.set_status(
                run,
                "PREEMPTED" if stopped else "FAILED",
                exit_code=end.exit_code,
                message=message,
            )
        elif end.reason is not None and now["status"] == "PREEMPTED":
            run_directory.set_status(
                run, "PREEMPTED", exit_code=now.get("exit_code"), message=end.reason
            )
        now = run_directory.read_status(run)
        line = {"time": time.time(), "run": os.path.relpath(run, workdir), "job": job.group.stem}
        line |= {name: now.get(name) for name in ("status", "exit_code", "step", "message")}
        note(workdir, line)
    return unsaved


def note(workdir: Path, record: dict[str, Any]) -> None:
    """Appends a line to the ledger. One that a crash has torn does not damage it."""
    with open(workdir / "ledger.jsonl", "a+b", buffering=0) as file:
        file.seek(max(file.seek(0, os.SEEK_END) - 1, 0))
        torn = file.read(1) not in (b"", b"\n")
        line = run_directory.canonical_json(record) + b"\n"
        run_directory.append(file, b"\n" * torn + line)


def reason(exit_code: int | None, output: Path, run: Path) -> str:
    """Why a process ended that wrote no status: its last words, or what killed it.

    The last words of a process of several runs have in them what it said of this one, which is
    taken alone.
    """
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    if exit_code == 0:
        return "its process ended before it was done"
    last = (last_lines(output, 1) or ["its process ended without a word"])[0]
    begins = f"{run.name}: failed: "
    said = last_lines(output, 1, but=re.compile(rf"(?!{begins})"))
    own = said[0].removeprefix(begins) if said else ""
    return own if own and own in last else last


def failures(workdir: Path, run: Path) -> list[str]:
    """Why a run failed: its message, those of the attempts before, and the last lines printed."""
    attempts = attempts_at(workdir, run)
    message = run_directory.read_status(run).get("message") or ""
    lines = [f"attempt {n}: {a['message']}" for n, a in enumerate(attempts[:-1], start=1)]
    lines.append(message)
    printed = []
    if attempts:
        printed = last_lines(
            workdir / "jobs" / f"{attempts[-1]['job']}.log", LAST_LINES, but=others_than(run)
        )
    return lines + [line for line in printed if not message or message not in line]


def attempts_at(workdir: Path, run: Path) -> list[dict[str, Any]]:
    """The records of the ledger that are of that run, since it was last done or stopped.

    Lines that can't be read are left out.
    """
    file, name = workdir / "ledger.jsonl", os.path.relpath(run, workdir)
    if not file.exists():
        return []
    found = []
    for line in file.read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            if record["run"] == name:
                found = [*found, record] if record["status"] == "FAILED" else []
    return found


def others_than(run: Path) -> re.Pattern:
    """Matches the lines in a job's output that say that they are of another of its runs."""
    return re.compile(rf"(?!{run.name})[0-9a-f]{{16}}: ")


def last_lines(file: Path, count: int, but: re.Pattern | None = None) -> list[str]:
    """The last lines of a file that say something; none where there is no file.

    but: of lines that are left out.
    """
    lines = [line.rstrip() for line in tail(file).splitlines() if line.strip()]
    return [line for line in lines if but is None or not but.match(line)][-count:]


def tail(file: Path) -> str:
    """The end of a file, from the beginning of a line."""
    if not file.exists():
        return ""
    with open(file, "rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(size - TAIL_BYTES, 0))
        text = opened.read().decode(errors="replace")
    return text if size <= TAIL_BYTES else text.partition("\n")[2]
