"""What a run is made of besides its state: its parts, its layout and what is compiled for it.

`train.py` prepares a session and walks it. Preparing also writes the records of a new run, or
refuses to go on with one that differs.
"""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, PartitionSpec
from ml_collections import config_dict

from seqgen import (
    backend,
    environment,
    frames,
    likeness,
    looks,
    optimizer,
    plan,
    processes,
    run_directory,
    run_state,
)
from seqgen import config as configs
from seqgen import step as steps
from seqgen.datasets import Dataset
from seqgen.errors import UsageError
from seqgen.evaluator import Evaluator
from seqgen.interrupt import Interrupt
from seqgen.metrics import Meaning
from seqgen.parts import (
    Parts,
    State,
    after_evaluation,
    first_state,
    intervals,
    make_dataset,
    make_parts,
    step_of,
    time_steps,
)
from seqgen.progress import Progress
from seqgen.run import Found

Call = Callable[..., tuple[State, dict[str, jax.Array]]]


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
    call: Call | None  # see `caller`; None: of a lane, which is called with others
    observe: Callable[[steps.Monitor, jax.Array], steps.Monitor]
    validate: Callable[[dict[str, Any], Any, Interrupt], dict[str, float]]
    look: Callable[[Found, Any, int, Interrupt], looks.Look] | None  # if the run may end by one
    film: Callable[[int, dict[str, Any]], None]  # takes (step, parameters), see `frames`


def rows_together(config: config_dict.ConfigDict) -> int:
    """Rows of a batch that are computed at once, which the devices share."""
    size, parts = config.dataset.batch_size, config.accumulate or 1
    if size % parts:
        raise UsageError(f"accumulate={parts} does not divide dataset.batch_size={size}")
    return size // parts


def prepare(config: config_dict.ConfigDict, workdir: Path, progress: Progress) -> Session:
    """Builds the parts and lays the run out on the machine; writes or checks the run's records.

    Raises UsageError, and leaves what is there as it was, if the directory holds another run.
    """
    stored = stored_config(workdir)
    config = configs.settled(config, stored)
    dataset = make_dataset(config)
    parts = make_parts(config, dataset.spec)
    begin = partial(first_state, parts, config, dataset.spec)
    shapes = jax.eval_shape(begin)
    layout = lay_out(
        shapes,
        rows=rows_together(config),
        time_steps=time_steps(config, dataset),
        intervals=intervals(config, dataset),
    )
    mesh = backend.mesh(jax.devices()[: layout.devices])
    everywhere = NamedSharding(mesh, PartitionSpec())
    placed = steps.shardings(mesh, shapes)

    def step_on(arrays, shape):
        return step_of(parts, dataset, arrays, shape, mesh)

    look = looker(parts, dataset)
    if processes.leads():
        record(config, stored, dataset, layout._asdict(), workdir, progress)
    say_where_the_schedules_end(config, parts, progress)
    arrays = backend.placed(dataset.arrays, everywhere)
    return Session(
        config=config,
        options=parts.options,
        workdir=workdir,
        dataset=dataset,
        arrays=arrays,
        layout=layout,
        reports=reports(parts),
        begin=jax.jit(begin, out_shardings=placed),
        target=jax.tree.map(lambda s, p: s.update(sharding=p), shapes, placed),
        call=caller(step_on, dataset, layout, (placed, everywhere)),
        observe=jax.jit(partial(after_evaluation, parts), out_shardings=everywhere),
        validate=Evaluator(parts.objective, dataset, "valid", mesh),
        look=look,
        film=frames.recorder(workdir, config.record_every, parts.objective, dataset, arrays),
    )


def looker(parts: Parts, dataset: Dataset) -> Callable[..., looks.Look] | None:
    """What looks at samples beside data, where the run may end by it."""
    if not parts.options.stop_when_indistinguishable:
        return None
    return looks.looker(parts.objective, dataset, parts.options.stop_detectable)


def reports(parts: Parts) -> dict[str, Meaning]:
    """Of the validation metrics."""
    ends = parts.options.stop_when_indistinguishable
    return parts.objective.reports | (likeness.REPORTS if ends else {})


def program(
    step_on: Callable[[Any], Callable], count: int, layout: plan.RunPlan, placements: Any
) -> jax.stages.Wrapped:
    """Jitted (state, arrays) -> (state, metrics): `count` steps a dispatch, the state donated."""
    return jax.jit(
        lambda state, arrays: steps.several(step_on(arrays), count)(state),
        donate_argnums=0,
        out_shardings=placements,
        compiler_options=backend.supported(layout.compiler_options),
    )


def caller(
    step_on: Callable[..., Callable], dataset: Dataset, layout: plan.RunPlan, placements: Any
) -> Call:
    """(state, arrays, step, count) -> (state, metrics): `count` steps after step number `step`.

    Compiled once for each count and shape: usually there is one count, and another where a resume
    has to catch up.
    """

    @functools.cache
    def compiled(count: int, shape: tuple[int, ...]):
        return program(partial(step_on, shape=shape), count, layout, placements)

    def call(state: State, arrays: Any, step: int, count: int):
        return compiled(count, dataset.shape("train", step, True))(state, arrays)

    return call


def lay_out(
    state: State,
    *,
    rows: int,
    time_steps: int,
    intervals: tuple[int, ...],
    available: int | None = None,
    lanes: int = 1,
) -> plan.RunPlan:
    """The run's plan from what is known before anything is computed.

    `rows` are computed together, and a batch has so many time steps, padding included. Of `lanes`
    that many runs share each of the `available` devices (None: all that there are). Raises
    UsageError where the rows do not divide among the devices of several processes.
    """
    if jax.process_count() > 1 and rows % jax.device_count():
        raise UsageError(
            f"{rows} rows that are computed together do not divide among the {jax.device_count()} "
            f"devices of {jax.process_count()} processes: change dataset.batch_size, accumulate or "
            "the number of processes"
        )
    sizes = [
        (jax.tree_util.keystr(path[-1:], simple=True), leaf.size, leaf.size * leaf.dtype.itemsize)
        for path, leaf in jax.tree.leaves_with_path(state.params)
    ]
    weights = sum(size for _, size, _ in sizes)
    recurrent = [(size, size_bytes) for name, size, size_bytes in sizes if name == "w_h_DG"]
    return plan.run_plan(
        platform=jax.default_backend(),
        available=jax.device_count() if available is None else available,
        rows=rows,
        operations=6.0 * weights * time_steps,
        recurrent_bytes=max((size_bytes for _, size_bytes in recurrent), default=0),
        recurrent_share=sum(size for size, _ in recurrent) / weights,
        intervals=intervals,
        lanes=lanes,
        processes=jax.process_count(),
    )


def stored_config(workdir: Path) -> config_dict.ConfigDict | None:
    """The config of the run that the directory holds, None if it holds none."""
    return run_state.stored_config(workdir) if (workdir / "config.json").exists() else None


def record(
    config: config_dict.ConfigDict,
    stored: config_dict.ConfigDict | None,
    dataset: Dataset,
    layout: dict[str, Any],
    workdir: Path,
    progress: Progress,
) -> None:
    """Writes the run's records; for one that is stored, first sees that it is the same run."""
    now = environment.record(devices=True) | {"fingerprint": dataset.fingerprint}
    refuse_another_config(stored, config, workdir)
    # a config alone is a run that is planned, and was not begun or was killed as it began
    records = ("spec", "environment", "plan", "config")
    written = all((workdir / f"{name}.json").exists() for name in records)
    if written or (workdir / "checkpoints").exists():
        before = run_directory.read_json(workdir / "environment.json", ("fingerprint",))
        if before["fingerprint"] != dataset.fingerprint:
            raise UsageError(f"the data have changed since {workdir} began; give another --workdir")
        before |= run_directory.read_json(workdir / "plan.json", plan.RunPlan._fields)
        for difference in environment.differences(before, now | layout):
            progress.say(f"warning: this resume is not bit-exact: {difference}")
    run_directory.write_json(workdir / "spec.json", dataset.spec)
    run_directory.write_json(workdir / "environment.json", now)
    run_directory.write_json(workdir / "plan.json", layout)
    # Last, since a run is there when its config is: killed before, it begins anew.
    run_directory.write_json(workdir / "config.json", configs.to_json(config))


def refuse_another_config(
    stored: config_dict.ConfigDict | None, config: config_dict.ConfigDict, workdir: Path
) -> None:
    """Raises UsageError, field by field, for a config that is not that of the run that is there."""
    if listed := _unlike(stored, config, configs.MAY_CHANGE_ON_RESUME):
        raise UsageError(
            f"{workdir} holds a run with another config ({listed}); give another --workdir, or "
            f"change only {', '.join(configs.MAY_CHANGE_ON_RESUME)}"
        )


def refuse_another_run(config: config_dict.ConfigDict, workdir: Path) -> None:
    """Raises UsageError where the run that is called after this settled config has another.

    Its name (`trials.digest`) leaves out what is as by default, and defaults may have changed; and
    it may have been lengthened by itself.
    """
    may_differ = [name for name in configs.MAY_CHANGE_ON_RESUME if name != "num_steps"]
    if listed := _unlike(stored_config(workdir), config, may_differ):
        raise UsageError(
            f"{workdir} is not the run that it is called after, but of other defaults or another "
            f"length ({listed}): remove it to train it anew, or give another --workdir"
        )


def _unlike(
    stored: config_dict.ConfigDict | None, config: config_dict.ConfigDict, may_differ: Sequence[str]
) -> str:
    """What differs and may not, as text; empty where all is well."""
    changed = {} if stored is None else configs.differences(stored, config)
    return ", ".join(
        f"{name}: {old} -> {new}" for name, (old, new) in changed.items() if name not in may_differ
    )


def say_where_the_schedules_end(
    config: config_dict.ConfigDict, parts: Parts, progress: Progress
) -> None:
    """A line for a run that is longer than its schedule, such as one that was lengthened.

    Where the players' optimizers differ, there is one for each player.
    """
    options = parts.options
    chains = {name: configs.optimizer_of(config, name) for name in parts.optimizers}
    alike = len(set(chains.values())) == 1
    for player, chain in list(chains.items())[: 1 if alike else None]:
        if chain.schedule in optimizer.ENDING and options.schedule_steps < options.num_steps:
            whose = "" if alike else f" of {player}"
            progress.say(
                f"the {chain.schedule} schedule{whose} ends at step {options.schedule_steps} of "
                f"{options.num_steps}: from there the learning rate is "
                f"{chain.final_scale * chain.learning_rate:g}"
            )
