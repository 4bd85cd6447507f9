"""The gradient laboratory: the verb `diagnose`, of a config, a checkpoint, a run or a grid.

Each writes a record of its numbers and its pictures to DIR/diagnoses/; `report.py` shows them. What
is measured is in `gradient_flow.py`, what it means in `metrics/gradients.py`.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import config_dict

from seqgen import backend, gate_views, gradient_flow, gradient_pictures, run_directory
from seqgen import config as configs
from seqgen import grid as grids
from seqgen import run as runs
from seqgen import step as steps
from seqgen.checkpoint import Checkpoints
from seqgen.datasets import Dataset
from seqgen.diagnosis_report import FOLDER
from seqgen.errors import UsageError
from seqgen.gradient_records import Seen, decay, facts, plain, seen, spoken, spreadsheet
from seqgen.metrics import gradients
from seqgen.objectives import Batch, Objective

ALL = "all"  # checkpoints


class Subject(NamedTuple):
    """A config with its data: what parameters belong to."""

    config: config_dict.ConfigDict
    dataset: Dataset
    objective: Objective
    split: str
    batch: Batch


def subject(config: config_dict.ConfigDict, split: str) -> Subject:
    """Raises UsageError for a config with problems, and for a split that there is not."""
    configs.validate(config)
    options = configs.options(config, "dataset")
    dataset = configs.part("dataset", config.dataset.name).make(options)
    objective = configs.assemble(config, dataset.spec)
    return Subject(config, dataset, objective, split, gradient_flow.examples(dataset, split))


def begun(one: Subject) -> Any:
    """The parameters with which a training begins."""
    key = steps.fold(jax.random.key(one.config.seed), steps.INIT)
    batch = runs.example(one.dataset.spec, rows=1)
    return jax.jit(lambda key: one.objective.init(key, batch)[0])(key)


def watched(one: Subject) -> gradient_flow.Lens:
    """Raises UsageError for what can't be diagnosed; nothing is computed."""
    return gradient_flow.lens(one.objective, jax.eval_shape(lambda: begun(one)), one.batch)


def about(one: Subject) -> dict[str, Any]:
    """What every record says of how it was measured."""
    return {
        "split": one.split,
        "fingerprint": one.dataset.fingerprint,
        "examples": len(one.batch["weight_B"]),
        "threshold_halvings": gradients.HALVINGS,
        "saturated_below": gradients.SATURATED,
    }


def checkpoint(
    one: Subject, params: Any, prompt: str | None, workdir: Path, record: dict[str, Any]
) -> None:
    """Diagnoses one set of parameters: writes the record and the pictures, and prints a summary."""
    lens = gradient_flow.lens(one.objective, params, one.batch)
    # before anything takes its time, since a prompt may be wrong
    shown = gate_views.given(one.config, one.dataset.spec, one.batch, prompt)
    found = seen(lens, params, one.batch)
    folder, name = made(workdir), f"{one.split}-{record['step']}"
    if "config" in record:  # others may be diagnosed beside it
        name += f"-{run_directory.digest(record['config'])[:6]}"
    title = f"{record['title']}, step {record['step']}, {one.split}"
    layers = [facts(lens.layers[path], path, result) for path, result in found.items()]
    run_directory.write_json(
        folder / f"{name}.json", plain(record | about(one) | {"layers": layers})
    )
    mark = "" if prompt is None else f"-{run_directory.digest(prompt)[:6]}"
    drawn = pictures(found, title) | {
        f"layers-{path.replace('/', '-')}{mark}": picture
        for path, picture in gate_views.drawn(lens, params, shown, title)
    }
    for kind, content in drawn.items():
        run_directory.write_bytes(folder / f"{name}-{kind}.png", content)
    print(*map(spoken, layers), sep="\n")
    print(folder / f"{name}.json", *(folder / f"{name}-{kind}.png" for kind in drawn), sep="\n")


def pictures(found: dict[str, Seen], title: str) -> dict[str, bytes]:
    """By the ending of the file's name."""
    told = {path: one.slopes for path, one in found.items() if one.slopes}
    return {
        "gradients": gradient_pictures.flows(
            {path: (one.flow, one.decay) for path, one in found.items()}, title
        ),
        "jacobians": gradient_pictures.spreads(
            {path: (one.spread, one.bound) for path, one in found.items()}, title
        ),
        **({"slopes": gradient_pictures.slopes(told, title)} if told else {}),
    }


def training(run: runs.Run, one: Subject) -> None:
    """The gradients at the start of the training and at every checkpoint that is kept."""
    with Checkpoints(run.workdir, writer=False) as checkpoints:
        saved = checkpoints.steps()
    params = begun(one)
    lens = gradient_flow.lens(one.objective, params, one.batch)
    rows: dict[str, list[gradient_pictures.Row]] = {}
    for step in sorted({0, *saved}):
        if step > 0:
            try:
                params = runs.parameters(run, step).params
            except UsageError as error:  # it is damaged, or a training deleted it meanwhile
                print(f"step {step} is left out: {error}", flush=True)
                continue
        flows = jax.device_get(lens.look(params, one.batch)[1])
        for path in gradient_flow.in_order(flows):
            log_T = gradients.means(np.where(flows[path].real, flows[path].total, np.nan))
            row = gradient_pictures.Row(str(step), log_T, decay(flows[path]))
            rows.setdefault(path, []).append(row)
            print(f"step {step}  {path}: {gradient_pictures.spoken(row.decay)}", flush=True)
    layers = {
        path: [
            {
                "step": int(row.label),
                "decay": row.decay._asdict(),
                "gradient_log10_by_step": row.log / math.log(10),
            }
            for row in own
        ]
        for path, own in rows.items()
    }
    folder, name = made(run.workdir), f"{one.split}-training"
    run_directory.write_json(folder / f"{name}.json", plain(about(one) | {"layers": layers}))
    title = f"{run.workdir.resolve().name}, {one.split}"
    run_directory.write_bytes(folder / f"{name}.png", gradient_pictures.training(rows, title))
    print(folder / f"{name}.json", folder / f"{name}.png", sep="\n")


def grid(text: str, config: config_dict.ConfigDict, split: str, workdir: Path, title: str) -> None:
    """Configs at initialisation side by side: one table, one picture."""
    points = grids.points(text, config)
    rows, table = [], []
    for point in points:  # before the first of them takes its time
        watched(subject(point.config, split))
    for number, point in enumerate(points, start=1):
        called = " ".join(f"{name.rpartition('.')[2]}={v}" for name, v in point.chosen.items())
        print(f"[{number}/{len(points)}] {called}", flush=True)
        one = subject(point.config, split)
        lens, params = watched(one), begun(one)
        found = seen(lens, params, one.batch)
        for path, result in found.items():
            label = called if len(found) == 1 else f"{called} {path}"
            last_TB = gradients.by_lag(result.flow.last, result.flow.before_last)
            rows.append(gradient_pictures.Row(label, gradients.means(last_TB), result.decay))
            layer = facts(lens.layers[path], path, result)
            table.append({"chosen": point.chosen, **about(one), **layer})
            print("  " + spoken(layer), flush=True)
    folder = made(workdir)
    name = f"{split}-grid-{run_directory.digest([text, configs.to_json(config)])[:6]}"
    record = {"grid": text, "split": split, "config": configs.to_json(config), "points": table}
    run_directory.write_json(folder / f"{name}.json", plain(record))
    run_directory.write_bytes(folder / f"{name}.csv", spreadsheet(table).encode())
    picture = gradient_pictures.grid(rows, f"{title} at initialisation, {split}")
    run_directory.write_bytes(folder / f"{name}.png", picture)
    print(*(folder / f"{name}.{ending}" for ending in ("json", "csv", "png")), sep="\n")


def made(workdir: Path) -> Path:
    (workdir / FOLDER).mkdir(parents=True, exist_ok=True)
    return workdir / FOLDER


def of_config(
    config: config_dict.ConfigDict,
    workdir: Path,
    split: str,
    prompt: str | None,
    text: str | None,
    *,
    compilation_cache: bool,
) -> None:
    """The verb on a config at initialisation, or on a grid of such. Raises UsageError."""
    if (workdir / "config.json").exists():
        raise UsageError(
            f"{workdir} holds a run: leave out --config to diagnose that, or give another --workdir"
        )
    run_directory.refuse_file(workdir)
    backend.start(rows=1, compilation_cache=compilation_cache)
    title = f"{config.dataset.name}, {config.model.name}"
    if text is not None:
        if prompt is not None:
            raise UsageError("--prompt is drawn for one config: leave it out of a grid")
        grid(text, config, split, workdir, title)
        return
    one = subject(config, split)
    record = {"step": 0, "title": f"{title} at initialisation", "config": configs.to_json(config)}
    checkpoint(one, begun(one), prompt, workdir, record)


def of_run(
    workdir: Path, which: str, split: str, prompt: str | None, *, compilation_cache: bool
) -> None:
    """The verb on a checkpoint of a run, or on all of them. Raises UsageError."""
    run = runs.load(workdir)
    if which == ALL and prompt is not None:
        raise UsageError("--prompt is drawn for one checkpoint, not for all")
    backend.start(rows=1, compilation_cache=compilation_cache)
    one = subject(run.config, split)
    runs.refuse_other_data(run, one.dataset.fingerprint)
    if which == ALL:
        training(run, one)
        return
    found = runs.parameters(run, which)
    record = {
        "step": found.step,
        "title": workdir.resolve().name,
        "checkpoint_sha256": found.digest,
    }
    checkpoint(one, found.params, prompt, workdir, record)
