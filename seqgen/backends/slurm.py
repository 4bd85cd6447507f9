"""Jobs as arrays of Slurm: a job is a command and the name of a file, nothing of Python's.

An array is called after a digest of its jobs, which `jobs/NAME.list` lists: so whoever asks later,
in another process, finds out from the queue which of a sweep's jobs are in it.
"""

import hashlib
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqgen.backends import End, Ended, Job, Tick
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt, Interrupted

POLL_SECONDS = 5.0
MOST = 1000  # jobs of an array: Slurm's own limit, where a site has not set another
SECONDS_TO_SAVE = 60  # before the time limit
TAKEN = ("array", "job-name", "output", "error", "open-mode", "parsable", "wait", "wrap")
SCRIPT = """#!/bin/bash
groups=({groups})
group="${{groups[$SLURM_ARRAY_TASK_ID]}}"
left="${{group%.txt}}.exit"  # tells whoever follows the job how it ended
rm -f "$left"
trap : TERM  # the training gets it too, and saves
trap 'kill -TERM "$training"' USR1  # the time limit is near
{command} --group="$group" &
training=$!
while wait "$training"; code=$?; kill -0 "$training" 2>/dev/null; do :; done
echo "$code" > "$left"
[ "$code" -gt 128 ] && echo "killed by SIG$(kill -l "$code")"
task="${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"  # SLURM_JOB_ID of one task is all the array's
if [ "$code" = {again} ] && [ "$(squeue -h -j "$task" -o %T)" = RUNNING ]; then
  scontrol requeue "$task"  # all saved, and not cancelled: it goes on when it may
fi
exit "$code"
"""


def checked(options: Mapping[str, str | None]) -> list[str]:
    """The options of `--slurm.NAME=VALUE` as sbatch's. Raises UsageError for those set here."""
    words = []
    for name, value in options.items():
        if (dashed := name.replace("_", "-")) in TAKEN:
            raise UsageError(f"--slurm.{name} is for the sweep to set")
        words.append(f"--{dashed}" if value is None else f"--{dashed}={value}")
    return words


def submit(
    jobs: Sequence[Job], command: Sequence[str], options: Sequence[str], at_once: int | None
) -> None:
    """Queues the jobs, so many at a time. Raises UsageError where Slurm refuses them."""
    for first in range(0, len(jobs), MOST):
        some = jobs[first : first + MOST]
        groups = [str(job.group.resolve()) for job in some]
        listed = "".join(f"{group}\n" for group in groups)
        name = f"seqgen-{hashlib.sha256(listed.encode()).hexdigest()[:16]}"
        folder = some[0].group.parent
        (folder / f"{name}.list").write_text(listed)  # before it is in the queue
        for index, job in enumerate(some):  # Slurm itself has last words: out of memory, cancelled
            (folder / f"{name}_{index}.log").unlink(missing_ok=True)
            job.output.unlink(missing_ok=True)
            job.output.symlink_to(f"{name}_{index}.log")
            left(job).unlink(missing_ok=True)
        limit = "" if at_once is None else f"%{at_once}"
        script = SCRIPT.format(
            groups=shlex.join(groups), command=shlex.join(command), again=Interrupted.exit_code
        )
        words = [
            *("sbatch", "--parsable", "--requeue", f"--signal=B:USR1@{SECONDS_TO_SAVE}"),
            *(f"--array=0-{len(some) - 1}{limit}", f"--job-name={name}", "--open-mode=append"),
            f"--output={folder.resolve() / name}_%a.log",
            *options,  # last: they may replace what stands before
        ]
        asked(words, script)


def asked(words: Sequence[str], text: str = "") -> str:
    """What a command of Slurm's prints. Raises UsageError."""
    try:
        done = subprocess.run(words, input=text, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise UsageError(
            f"--backend=slurm needs {words[0]}, which is not installed here"
        ) from error
    if done.returncode:
        raise UsageError(f"{words[0]} refused: {' '.join(done.stderr.split())}")
    return done.stdout


def queued(folder: Path) -> dict[Path, bool]:
    """The groups of a sweep's `jobs/` that are in Slurm's queue, and whether they run already.

    Raises UsageError where jobs have been queued and there is nobody to ask about them.
    """
    lists = {file.stem: file for file in folder.glob("seqgen-*.list")}
    if not lists:
        return {}
    found = {}
    listing = asked(["squeue", "--me", "--array", "--noheader", "--format=%j|%K|%T"])
    for line in listing.splitlines():
        name, index, state = line.rsplit("|", 2)  # the name of another's job may have any letter
        if name in lists:
            group = Path(lists[name].read_text().splitlines()[int(index)])
            found[folder / group.name] = state == "RUNNING"
    return found


def follow(jobs: Sequence[Job], *, ended: Ended, tick: Tick, interrupt: Interrupt) -> None:
    """Waits until none of the jobs is in the queue, or a signal comes, which stops none of them."""
    following, gone = {job.group: job for job in jobs}, set()
    while following and not interrupt.requested:
        try:
            now = queued(next(iter(following)).parent)
        except UsageError:  # Slurm does not answer for a while: the jobs go on
            now = None
        if now is not None:
            for group in [g for g in following if g in gone and g not in now]:
                job = following.pop(group)
                ended(job, End(exit_code(job), None))
            gone = following.keys() - now.keys()  # asked about twice: files arrive late
            tick([job for group, job in following.items() if now.get(group)])
        until = time.monotonic() + POLL_SECONDS
        while following and time.monotonic() < until and not interrupt.requested:
            time.sleep(0.1)


def left(job: Job) -> Path:
    """The file in which a job's script leaves its exit code."""
    return job.group.with_suffix(".exit")


def exit_code(job: Job) -> int | None:
    """As a shell counts, 128 and the signal that killed it; None: its script was killed as well."""
    try:
        return int(left(job).read_text())
    except (FileNotFoundError, ValueError):
        return None


def cancelling(folder: Path) -> str:
    """The command that takes all of a sweep's jobs out of the queue."""
    names = sorted(file.stem for file in folder.glob("seqgen-*.list"))
    return f"scancel --name={','.join(names)}"
