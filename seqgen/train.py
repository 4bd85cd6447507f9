"""The training loop: dispatch steps, log, evaluate, checkpoint, stop when asked. Again = resume."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from ml_collections import config_dict

from seqgen import backend, generate, predictions, processes, report, run_directory, run_lock
from seqgen import config as configs
from seqgen import run as runs
from seqgen.attempt import Attempt, note_the_end
from seqgen.checkpoint import Checkpoints
from seqgen.errors import require
from seqgen.evaluate import checkpoint_evaluator, line
from seqgen.evaluator import Measure
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.progress import Progress
from seqgen.session import Session, prepare, rows_together


def train(
    config: config_dict.ConfigDict,
    workdir: Path,
    *,
    compilation_cache: bool = True,
    place: processes.Place | None = None,
) -> None:
    """Trains to the config's last step, from the latest checkpoint if there is one.

    Where several processes train the run together, each is told its `place` among them.

    Raises Interrupted after a signal (all is saved), Failure where training can't go on, UsageError
    for a config or data that differ from those of the run that the directory holds.
    """
    backend.start(rows_together(config), compilation_cache=compilation_cache)
    if place is not None:
        processes.join(place)
    with contextlib.ExitStack() as stack:
        interrupt, progress = processes.together(opened, config, workdir, stack)
        # what it refuses is no attempt at the run
        session = processes.together(prepare, config, workdir, progress)
        try:
            reason = loop(session, processes.AgreedInterrupt(interrupt), progress)
            processes.together(finish, session, reason, interrupt, progress)
        except BaseException as error:
            note_the_end(workdir, error)
            raise


def opened(
    config: config_dict.ConfigDict, workdir: Path, stack: contextlib.ExitStack
) -> tuple[Interrupt, Progress]:
    """The run's directory is this process's until the stack is closed, or that of the first."""
    configs.validate(config)
    if config.tensorboard:
        require("tensorboardX", "tensorboard")  # before anything is written
    if processes.leads():
        stack.enter_context(run_lock.hold(workdir))
    log = workdir / "log.txt" if processes.leads() else Path(os.devnull)
    interrupt = stack.enter_context(Interrupt())
    return interrupt, stack.enter_context(Progress(log, quiet=not processes.leads()))


def loop(session: Session, interrupt: processes.AgreedInterrupt, progress: Progress) -> str:
    """All of it happens once a call, not once a step. Returns why it ended."""
    with contextlib.ExitStack() as stack:
        checkpoints = processes.together(begun, session, stack)
        attempt = Attempt(session, checkpoints, interrupt, progress, stack)
        state = attempt.first()
        try:
            while True:
                state = attempt.pause(state)
                if (reason := attempt.ended()) is not None:
                    processes.together(checkpoints.wait)
                    return reason
                if interrupt.requested:
                    raise Interrupted(interrupt.requested)
                count = attempt.count()
                state, metrics = session.call(state, session.arrays, attempt.step, count)
                attempt.passed(count, metrics)
        except Interrupted as stop:
            raise attempt.stopped(state, stop) from stop


def begun(session: Session, stack: contextlib.ExitStack) -> Checkpoints:
    """The run's checkpoints, open until the stack is closed, and its status RUNNING."""
    if processes.leads():
        run_directory.set_status(session.workdir, "RUNNING")
    return stack.enter_context(
        Checkpoints(
            session.workdir, writer=processes.leads(), keep_every=session.options.keep_every
        )
    )


def finish(session: Session, reason: str, interrupt: Interrupt, progress: Progress) -> None:
    """What a finished run leaves; of several processes the first does all of it."""
    if processes.leads():
        conclude(session, reason, interrupt, progress)
        write_report(session.workdir, progress)


def conclude(
    session: Session,
    reason: str,
    interrupt: Interrupt,
    progress: Progress,
    measure: Callable[[str], Measure] | None = None,
) -> None:
    """The run's test numbers, a sample if it generates, and that it is done.

    reason: why it ended. measure: makes the evaluator of a split, where there is one already.
    """
    run = runs.load(session.workdir)
    which = runs.chosen(run)
    if which == "latest":
        progress.say("no validation gave a finite number, so there is no best checkpoint")
    found = runs.parameters(run, which)
    split = "test" if "test" in session.dataset.num_batches else "valid"
    of_split = None if measure is None else measure(split)
    evaluate = checkpoint_evaluator(
        run, session.dataset, split, show=progress.show, measure=of_split
    )
    result = evaluate(found, interrupt)
    progress.say(f"{which} checkpoint: {line(result, predictions.reports(run))}")
    if run.objective.generate is not None:
        options, seed = generate.usual(run), session.options.seed
        for file in generate.generate(run, found, 1, None, options, seed):
            progress.say(f"{file} (generated):\n{generate.shown(file)}")
    run_directory.set_status(session.workdir, "DONE", exit_code=0, message=reason)


def write_report(workdir: Path, progress: Progress) -> None:
    """Last, since it shows the status."""
    progress.say(f"report: {report.report(workdir)}")
