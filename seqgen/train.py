"""The training loop: dispatch steps, log, evaluate, checkpoint, stop when asked. Again = resume."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from ml_collections import config_dict

from seqgen import backend, generate, predictions, report, run_directory, run_lock
from seqgen import config as configs
from seqgen import run as runs
from seqgen.attempt import Attempt, note_the_end
from seqgen.checkpoint import Checkpoints
from seqgen.errors import require
from seqgen.evaluate import Measure, checkpoint_evaluator, line
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.progress import Progress
from seqgen.session import Session, prepare, rows_together


def train(config: config_dict.ConfigDict, workdir: Path, *, compilation_cache: bool = True) -> None:
    """Trains to the config's last step, from the latest checkpoint if there is one.

    Raises Interrupted after a signal (all is saved), Failure where training can't go on, UsageError
    for a config or data that differ from those of the run that the directory holds.
    """
    backend.start(rows_together(config), compilation_cache=compilation_cache)
    configs.validate(config)
    if config.tensorboard:
        require("tensorboardX", "tensorboard")  # before anything is written
    with (
        run_lock.hold(workdir),
        Interrupt() as interrupt,
        Progress(workdir / "log.txt") as progress,
    ):
        session = prepare(config, workdir, progress)  # what it refuses is no attempt at the run
        try:
            run_directory.set_status(workdir, "RUNNING")
            with Checkpoints(workdir, keep_every=session.options.keep_every) as checkpoints:
                reason = loop(session, checkpoints, interrupt, progress)
            finish(session, reason, interrupt, progress)
        except BaseException as error:
            note_the_end(workdir, error)
            raise


def loop(
    session: Session, checkpoints: Checkpoints, interrupt: Interrupt, progress: Progress
) -> str:
    """All of it happens once a call, not once a step. Returns why it ended."""
    with contextlib.ExitStack() as stack:
        attempt = Attempt(session, checkpoints, interrupt, progress, stack)
        state = attempt.first()
        try:
            while True:
                state = attempt.pause(state)
                if (reason := attempt.ended()) is not None:
                    return reason
                if interrupt.requested:
                    raise Interrupted(interrupt.requested)
                count = attempt.count()
                state, metrics = session.call(state, session.arrays, attempt.step, count)
                attempt.passed(count, metrics)
        except Interrupted as stop:
            raise attempt.stopped(state, stop) from stop


def finish(
    session: Session,
    reason: str,
    interrupt: Interrupt,
    progress: Progress,
    measure: Callable[[str], Measure] | None = None,
) -> None:
    """What a finished run leaves: its test numbers, a sample if it generates, and its report.

    reason: why it ended. measure: makes the evaluator of a split, where there is one already.
    """
    run = runs.load(session.workdir)
    with Checkpoints(session.workdir, writer=False) as checkpoints:
        which = "latest" if checkpoints.best() is None else "best"
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
    progress.say(f"report: {report.report(session.workdir)}")  # shows the status
