"""The training loop: dispatch steps, log, evaluate, checkpoint, stop when asked. Again = resume."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import config_dict

from seqgen import (
    backend,
    decoding,
    environment,
    generate,
    optimizer,
    plan,
    report,
    run_directory,
)
from seqgen import config as configs
from seqgen import run as runs
from seqgen import step as steps
from seqgen.checkpoint import Checkpoints
from seqgen.datasets import Dataset
from seqgen.errors import UsageError
from seqgen.evaluate import evaluate, evaluator, line
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.meter import Meter
from seqgen.metrics import Meaning
from seqgen.progress import Progress

State = steps.TrainState


class Session(NamedTuple):
    """What a run is made of besides its state; built once from the config."""

    config: config_dict.ConfigDict
    options: configs.RunOptions
    workdir: Path
    dataset: Dataset
    arrays: Any  # the dataset's, on the devices
    layout: plan.RunPlan
    reports: dict[str, Meaning]  # of the validation metrics
    begin: Callable[[], State]
    target: State  # shapes and placement of the state
    call: Callable[[State, Any], tuple[State, dict[str, jax.Array]]]  # several steps
    observe: Callable[[steps.Monitor, jax.Array], steps.Monitor]
    validate: Callable[[dict[str, Any], Any, Interrupt], dict[str, float]]


def train(config: config_dict.ConfigDict, workdir: Path, *, compilation_cache: bool = True) -> None:
    """Trains to the config's last step, from the latest checkpoint if there is one.

    Raises Interrupted after a signal (all is saved), Failure where training can't go on, UsageError
    for a config or data that differ from those of the run that the directory holds.
    """
    backend.start(rows_together(config), compilation_cache=compilation_cache)
    configs.validate(config)
    with (
        run_directory.lock(workdir),
        Interrupt() as interrupt,
        Progress(workdir / "log.txt") as progress,
    ):
        run_directory.set_status(workdir, "RUNNING")
        try:
            session = prepare(config, workdir, progress)
            with Checkpoints(workdir) as checkpoints:
                reason = loop(session, checkpoints, interrupt, progress)
            finish(session, interrupt, progress)
        except Interrupted as stop:
            run_directory.set_status(workdir, "PREEMPTED", exit_code=75, message=str(stop))
            raise
        except BaseException as error:
            run_directory.set_status(workdir, "FAILED", exit_code=1, message=str(error))
            raise
        run_directory.set_status(workdir, "DONE", exit_code=0, message=reason)
        progress.say(f"report: {report.report(workdir)}")


def rows_together(config: config_dict.ConfigDict) -> int:
    """Rows of a batch that are computed at once, which the devices share."""
    size, parts = config.dataset.batch_size, config.accumulate or 1
    if size % parts:
        raise UsageError(f"accumulate={parts} does not divide dataset.batch_size={size}")
    return size // parts


def prepare(config: config_dict.ConfigDict, workdir: Path, progress: Progress) -> Session:
    """Builds the parts and lays the run out on the machine; writes or checks the run's records."""
    options = configs.options(config)
    dataset = configs.part("dataset", config.dataset.name).make(configs.options(config, "dataset"))
    objective = configs.assemble(config, dataset.spec)
    chain_options = configs.options(config, "optimizer")
    chain = optimizer.make(chain_options, options.schedule_steps or options.num_steps)
    optimizers = {player.name: chain for player in objective.players}
    upward = objective.reports[options.monitor].larger_is_better

    def begin() -> State:
        batch = runs.example(dataset.spec, config.dataset.batch_size)
        return steps.init(objective, optimizers, batch, options, upward)

    shapes = jax.eval_shape(begin)
    layout = lay_out(config, dataset.spec, shapes)
    mesh = jax.make_mesh((layout.devices,), ("batch",), (jax.sharding.AxisType.Auto,))
    everywhere = NamedSharding(mesh, PartitionSpec())
    placed = steps.shardings(mesh, shapes)
    observe = partial(
        steps.observe,
        larger_is_better=upward,
        patience=chain_options.plateau_patience,
        scale=chain_options.plateau_scale,
    )

    def call(state, arrays):
        step = steps.make_step(
            objective, optimizers, partial(dataset.batch, arrays, "train"), options, mesh
        )
        return steps.several(step, layout.steps_per_call)(state)

    record(config, dataset, layout, workdir, progress)
    return Session(
        config,
        options,
        workdir,
        dataset,
        jax.device_put(dataset.arrays, everywhere),
        layout,
        objective.reports,
        jax.jit(begin, out_shardings=placed),
        jax.tree.map(lambda s, p: s.update(sharding=p), shapes, placed),
        jax.jit(call, donate_argnums=0, out_shardings=(placed, everywhere)),
        jax.jit(observe, out_shardings=everywhere),
        evaluator(objective, dataset, "valid", mesh),
    )


def lay_out(config: config_dict.ConfigDict, spec: dict[str, Any], state: State) -> plan.RunPlan:
    """The run's plan from what is known before anything is computed."""
    weights = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return plan.run_plan(
        platform=jax.default_backend(),
        available=jax.device_count(),
        rows=rows_together(config),
        operations=6.0 * weights * config.dataset.batch_size * spec["length"],
        intervals=(config.log_every, config.eval_every, config.checkpoint_every, config.num_steps),
    )


def record(
    config: config_dict.ConfigDict,
    dataset: Dataset,
    layout: plan.RunPlan,
    workdir: Path,
    progress: Progress,
) -> None:
    """Writes the records of a new run; refuses to continue a run that differs, field by field."""
    now = environment.record(devices=True) | {"fingerprint": dataset.fingerprint}
    if (workdir / "config.json").exists():
        stored = configs.from_json(run_directory.read_json(workdir / "config.json"))
        changed = configs.differences(stored, config)
        refused = {n: c for n, c in changed.items() if n not in configs.MAY_CHANGE_ON_RESUME}
        if refused:
            listed = ", ".join(f"{n}: {old} -> {new}" for n, (old, new) in refused.items())
            raise UsageError(
                f"{workdir} holds a run with another config ({listed}); give another --workdir, or "
                f"change only {', '.join(configs.MAY_CHANGE_ON_RESUME)}"
            )
        before = run_directory.read_json(workdir / "environment.json")
        if before["fingerprint"] != dataset.fingerprint:
            raise UsageError(f"the data have changed since {workdir} began; give another --workdir")
        before |= run_directory.read_json(workdir / "plan.json")
        for difference in environment.differences(before, now | layout._asdict()):
            progress.say(f"warning: this resume is not bit-exact: {difference}")
    run_directory.write_json(workdir / "config.json", configs.to_json(config))
    run_directory.write_json(workdir / "spec.json", dataset.spec)
    run_directory.write_json(workdir / "environment.json", now)
    run_directory.write_json(workdir / "plan.json", layout._asdict())


def loop(
    session: Session, checkpoints: Checkpoints, interrupt: Interrupt, progress: Progress
) -> str:
    """All of it happens once a call, not once a step. Returns why it ended."""
    options = session.options
    state, due, resumed = begin_or_resume(session, checkpoints, progress)
    step = resumed or 0
    with run_directory.MetricsLog(session.workdir, step) as log:
        unit = session.dataset.spec.get("unit")
        meter = Meter(options, unit, session.reports, log, progress)
        try:
            while True:
                best = False
                if due:
                    meter.flush()
                    metrics = session.validate(state.evaluated, session.arrays, interrupt)
                    meter.report("valid", step, metrics)
                    watched = jnp.float32(metrics[options.monitor])
                    monitor = session.observe(state.monitor, watched)
                    best = int(monitor.since_best) == 0
                    state = state.replace(monitor=monitor)
                if due or (step != resumed and step and step % options.checkpoint_every == 0):
                    due = False
                    checkpoints.save(step, state, meta={"evaluation_due": False}, best=best)
                    run_directory.set_status(session.workdir, "RUNNING", step=step)
                if options.patience is not None and state.monitor.since_best > options.patience:
                    return f"no better {options.monitor} in {options.patience} evaluations"
                if step >= options.num_steps:
                    return "all steps done"
                if interrupt.requested:
                    raise Interrupted(interrupt.requested)
                state, metrics = session.call(state, session.arrays)
                step += session.layout.steps_per_call
                due = step % options.eval_every == 0 or step >= options.num_steps
                meter.add(step, metrics)
        except Interrupted as stop:
            meter.flush()
            checkpoints.save(step, state, meta={"evaluation_due": due}, blocking=True)
            run_directory.set_status(session.workdir, "RUNNING", step=step)
            progress.say(f"{stop} at step {step}, all saved: run it again to go on")
            raise


def begin_or_resume(
    session: Session, checkpoints: Checkpoints, progress: Progress
) -> tuple[State, bool, int | None]:
    """(state, whether its evaluation is still to be done, its step if it was found)."""
    if checkpoints.latest() is None:
        return session.begin(), False, None
    step, state, meta, _ = checkpoints.restore(session.target)
    progress.say(f"resumed {session.workdir} at step {step}")
    return state, meta["evaluation_due"], step


def finish(session: Session, interrupt: Interrupt, progress: Progress) -> None:
    """What a finished run leaves: its test numbers and, if it generates, a sample."""
    run = runs.load(session.workdir)
    found = runs.parameters(run, "best")
    split = "test" if "test" in session.dataset.num_batches else "valid"
    result = evaluate(run, found, session.dataset, split, interrupt)
    progress.say(f"best checkpoint: {line(result, run.objective.reports)}")
    if run.objective.generate is not None:
        options, seed = decoding.Options(), session.options.seed
        for file in generate.generate(run, found, 1, None, options, seed):
            progress.say(f"{file} (generated):\n{file.read_text('utf-8')}")
