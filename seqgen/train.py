"""The training loop: dispatch steps, log, evaluate, checkpoint, stop when asked. Again = resume."""

import contextlib
from pathlib import Path

import jax.numpy as jnp
from ml_collections import config_dict

from seqgen import backend, generate, predictions, report, run_directory, run_lock
from seqgen import config as configs
from seqgen import run as runs
from seqgen.checkpoint import Checkpoints
from seqgen.errors import UsageError, require
from seqgen.evaluate import checkpoint_evaluator, line
from seqgen.event_files import EventFiles
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.meter import Meter
from seqgen.metrics import target_unit
from seqgen.progress import Progress
from seqgen.run import Found
from seqgen.session import Session, State, prepare, rows_together


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
            finish(session, interrupt, progress)
            run_directory.set_status(workdir, "DONE", exit_code=0, message=reason)
            progress.say(f"report: {report.report(workdir)}")  # shows the status
        except BaseException as error:
            note_the_end(workdir, error)
            raise


def note_the_end(workdir: Path, error: BaseException) -> None:
    """Why the run stopped, in its status."""
    status = "PREEMPTED" if isinstance(error, Interrupted) else "FAILED"
    # neither a disk too full for it nor a damaged status is the reason to be told
    with contextlib.suppress(OSError, UsageError):
        exit_code = getattr(error, "exit_code", 1)
        run_directory.set_status(workdir, status, exit_code=exit_code, message=str(error))


def loop(
    session: Session, checkpoints: Checkpoints, interrupt: Interrupt, progress: Progress
) -> str:
    """All of it happens once a call, not once a step. Returns why it ended."""
    options, per_call = session.options, session.layout.steps_per_call
    state, due, resumed, ending = begin_or_resume(session, checkpoints, progress)
    step, since_best = resumed or 0, int(state.monitor.since_best)
    with contextlib.ExitStack() as stack:
        metrics_log = run_directory.MetricsLog(session.workdir, step, evaluated=not due)
        logs = [stack.enter_context(metrics_log)]
        if options.tensorboard:
            logs.append(stack.enter_context(EventFiles(session.workdir)))
        unit = target_unit(session.dataset.spec)
        meter = Meter(options, unit, session.reports, logs, progress)
        try:
            while True:
                session.film(step, state.params)
                if due or (step != resumed and step and step % options.checkpoint_every == 0):
                    meter.flush()  # waits for the device, as saving does in any case
                    best = False
                    if due:
                        state, best, ending = observed(session, state, step, meter, interrupt)
                        since_best = int(state.monitor.since_best)
                    due = False
                    meta = {"evaluation_due": False, "ending": ending}
                    checkpoints.save(step, state, meta=meta, best=best)
                    run_directory.set_status(session.workdir, "RUNNING", step=step)
                if ending is not None:
                    return ending
                if options.patience is not None and since_best >= options.patience:
                    return f"no better {options.monitor} in {options.patience} evaluations"
                if step >= options.num_steps:
                    return "all steps done"
                if interrupt.requested:
                    raise Interrupted(interrupt.requested)
                # a run that is resumed with other intervals may begin in the middle of a call
                count = per_call - step % per_call
                state, metrics = session.call(state, session.arrays, step, count)
                step += count
                due = step % options.eval_every == 0 or step >= options.num_steps
                meter.add(step, metrics)
        except Interrupted as stop:
            meter.flush()
            checkpoints.save(step, state, meta={"evaluation_due": due}, blocking=True)
            run_directory.set_status(session.workdir, "RUNNING", step=step)
            outcome = f" at step {step}, all saved: run it again to go on"
            told = Interrupted(stop.signal_name, outcome)
            progress.log(str(told))  # whoever ends the process shows it
            raise told from stop


def begin_or_resume(
    session: Session, checkpoints: Checkpoints, progress: Progress
) -> tuple[State, bool, int | None, str | None]:
    """(state, whether its evaluation is still to be done, its step if it was found, its ending).

    The last is why its evaluation ended the run, which then ends there again; None: it goes on.
    """
    if checkpoints.latest() is None:
        return session.begin(), False, None, None
    step, state, meta, _ = checkpoints.restore(session.target)
    progress.say(f"resumed {session.workdir} at step {step}")
    return state, meta["evaluation_due"], step, meta.get("ending")


def observed(
    session: Session, state: State, step: int, meter: Meter, interrupt: Interrupt
) -> tuple[State, bool, str | None]:
    """Evaluates: (state with its monitor moved on, whether it is the best so far, why to end).

    An evaluation that is done only because the run ends there leaves the monitor as it was: when
    the run is lengthened, it goes on as if it had never ended. Then the
    next regular evaluation is compared with the regular ones before it, not with this one. For the
    same reason it takes no look at samples. A look that ends the run makes this the best.
    """
    regular = step % session.options.eval_every == 0
    metrics = session.validate(state.evaluated, session.arrays, interrupt)
    sentence, ending = "", None
    if session.look is not None and regular:
        found = Found(step, state.evaluated, {"shared": state.memory["shared"]}, digest="")
        numbers, sentence, ending = session.look(
            found, session.arrays, int(state.monitor.looks) + 1, interrupt
        )
        metrics |= numbers
    meter.report("valid", step, metrics, sentence)
    name = session.options.monitor
    watched = jnp.float32(step if name is None else metrics[name])
    monitor = session.observe(state.monitor, watched)
    best = int(monitor.since_best) == 0 or ending is not None
    if regular:
        state = state.replace(monitor=monitor)
    return state, best, ending


def finish(session: Session, interrupt: Interrupt, progress: Progress) -> None:
    """What a finished run leaves: its test numbers and, if it generates, a sample."""
    run = runs.load(session.workdir)
    with Checkpoints(session.workdir, writer=False) as checkpoints:
        which = "latest" if checkpoints.best() is None else "best"
    if which == "latest":
        progress.say("no validation gave a finite number, so there is no best checkpoint")
    found = runs.parameters(run, which)
    split = "test" if "test" in session.dataset.num_batches else "valid"
    evaluate = checkpoint_evaluator(run, session.dataset, split, show=progress.show)
    result = evaluate(found, interrupt)
    progress.say(f"{which} checkpoint: {line(result, predictions.reports(run))}")
    if run.objective.generate is not None:
        options, seed = generate.usual(run), session.options.seed
        for file in generate.generate(run, found, 1, None, options, seed):
            progress.say(f"{file} (generated):\n{generate.shown(file)}")
