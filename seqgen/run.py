"""A finished or running run, opened from its directory alone."""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import config_dict

from seqgen import config as configs
from seqgen import run_directory, run_state
from seqgen.checkpoint import Checkpoints
from seqgen.errors import UsageError
from seqgen.models import has_steps
from seqgen.objectives import Objective

OF_OBJECTIVE = (*configs.PARTS, "monitor", "record_every")  # fields that decide what it is
SHARED = "memory/shared"  # as a checkpoint calls it
SPEC = ("dataset", "streamed", "inputs", "targets")  # what every dataset says of itself


class Run(NamedTuple):
    """The records of a run, and its objective rebuilt from them."""

    workdir: Path
    config: config_dict.ConfigDict
    spec: dict[str, Any]
    fingerprint: str  # of the data it was trained on
    objective: Objective


class Found(NamedTuple):
    """What evaluation and generation need of one checkpoint."""

    step: int
    params: dict[str, Any]  # the averaged ones where the run keeps them
    memory: dict[str, Any]  # what is shared alone
    digest: str  # of the checkpoint


def load(workdir: Path) -> Run:
    """Raises UsageError where the directory holds no run."""
    if not (workdir / "config.json").exists():
        raise UsageError(f"{workdir} holds no run: config.json is missing")
    config = run_state.stored_config(workdir)
    spec = run_directory.read_json(workdir / "spec.json", SPEC)
    recorded = run_directory.read_json(workdir / "environment.json", ("fingerprint",))
    decides = {name: configs.to_json(config)[name] for name in OF_OBJECTIVE}
    # a cell of the user's own, MODULE:NAME, may be another by now
    own = any(":" in str(value) for value in config.model.values())
    make = assembled.__wrapped__ if own else assembled
    objective = make(*map(run_directory.canonical_json, (decides, spec)))
    return Run(workdir, config, spec, recorded["fingerprint"], objective)


@functools.lru_cache(8)
def assembled(config: bytes, spec: bytes) -> Objective:
    """The objective of a config that says `OF_OBJECTIVE`; both as JSON.

    Runs that differ in nothing else have the same one, so that a process that opens many of them
    traces and compiles once what it computes with it.
    """
    return configs.assemble(configs.from_json(json.loads(config)), json.loads(spec))


def writes_answers(objective: Objective) -> bool:
    """Whether it makes answers: data may have some that a model of their inputs does not read."""
    return "exact_match" in objective.reports


def refuse_other_data(run: Run, fingerprint: str) -> None:
    """Raises UsageError for data that are not those of the run's training."""
    if fingerprint != run.fingerprint:
        raise UsageError(
            f"the data of {run.workdir} have changed since training: fingerprint "
            f"{fingerprint[:12]}, was {run.fingerprint[:12]}"
        )


def parameters(run: Run, which: str | int) -> Found:
    """The parameters of the best, the latest or a numbered checkpoint, its hashes verified.

    Raises UsageError where there is no such checkpoint, or a damaged one.
    """
    batch = example(run.spec, rows=1)
    shapes, memory = jax.eval_shape(run.objective.init, jax.random.key(0), batch)
    kept = "params" if run.config.ema is None else "ema"
    target = {kept: shapes, SHARED: memory["shared"]}
    with Checkpoints(run.workdir, writer=False) as checkpoints:
        restored = checkpoints.restore(target, checked(which))
        params, shared = restored.state[kept], restored.state[SHARED]
        return Found(restored.step, params, {"shared": shared}, restored.digest)


def chosen(run: Run) -> str:
    """The checkpoint that a finished run is known by.

    It is the best one, or the latest where no validation gave a finite number.
    """
    with Checkpoints(run.workdir, writer=False) as checkpoints:
        return "latest" if checkpoints.best() is None else "best"


def checked(which: str | int) -> str | int:
    """best, latest or a step number. Raises UsageError for anything else."""
    if which in ("best", "latest"):
        return which
    try:
        return int(which)
    except ValueError as error:
        raise UsageError(f"--checkpoint is best, latest or a step, not {which!r}") from error


def steps_of(spec: dict[str, Any]) -> int:
    """Time steps of one example at most: those that are read, and those of an answer written.

    An example without any, such as a picture with a class, counts as one.
    """
    read = spec["length"] if has_steps(spec) else 0
    written = spec["targets"]["length"] if spec["targets"]["per"] == "answer" else 0
    return max(read + written, 1)


def example(spec: dict[str, Any], rows: int) -> dict[str, jax.Array]:
    """A batch of zeros as the spec promises it: enough to build a model for."""
    inputs, batch = spec["inputs"], {}
    if spec["targets"]["per"] == "answer":
        batch["targets"] = jnp.zeros((rows, spec["targets"]["length"]), jnp.int32)
    if inputs["kind"] == "vector":
        return batch | {"inputs": jnp.zeros((rows, inputs["size"]))}
    if inputs["kind"] == "image":
        return batch | {"inputs": jnp.zeros((rows, *inputs["shape"]))}
    if inputs["kind"] == "real":
        return batch | {"inputs": jnp.zeros((rows, spec["length"], inputs["size"]))}
    return batch | {"inputs": jnp.zeros((rows, spec["length"]), jnp.int32)}
