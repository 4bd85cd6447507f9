"""A config made into what a run computes with: objective, optimizers, first state, train step.

All of it is pure and cheap, so `session.py` makes it once for a run, and `lanes.py` within a traced
step, where the seed and numbers of the options are those of a lane.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from ml_collections import config_dict

from seqgen import config as configs
from seqgen import optimizer
from seqgen import run as runs
from seqgen import step as steps
from seqgen.datasets import Dataset, one_shape
from seqgen.objectives import Objective

State = steps.TrainState


class Parts(NamedTuple):
    """What a config is made into: cheap and pure, so made within traced steps as well."""

    options: configs.RunOptions
    objective: Objective
    optimizers: dict[str, optimizer.Optimizer]  # by player
    plateau: optimizer.Options  # those for all players, which say what a plateau does

    @property
    def upward(self) -> bool:
        """Whether the monitored number is to grow: the step, where there is none to watch."""
        watched = self.options.monitor
        return watched is None or self.objective.reports[watched].larger_is_better


def lane_fields(config: config_dict.ConfigDict) -> tuple[str, ...]:
    """The fields in which runs may differ and still be lanes of one compiled program.

    The seed and every number with a fraction that is set, for `make` may be given them traced: but
    for those of the dataset, which are in its arrays, and for what an Options class says the HOST
    reads.
    """
    players = [f"players.{player}" for player in config.players] if "players" in config else []
    found = ["seed"]
    for section in (None, "optimizer", *players, "model", "objective"):
        kind = configs.RunOptions if section is None else configs.options_of(config, section)
        values, prefix = (config, "") if section is None else (config[section], f"{section}.")
        found += [
            prefix + field.name
            for field in dataclasses.fields(kind)
            if isinstance(values[field.name], float) and field.name not in getattr(kind, "HOST", ())
        ]
    return tuple(found)


def make_parts(
    config: config_dict.ConfigDict, spec: dict[str, Any], lane: dict[str, Any] | None = None
) -> Parts:
    """The parts of a settled config, but for the values of a lane, for data of that spec."""
    options = configs.options(config, None, lane)
    objective = configs.assemble(config, spec, lane)
    prefix = "players.{}." if "players" in config else "optimizer."
    optimizers = {
        player.name: optimizer.make(
            configs.optimizer_of(config, player.name, lane),
            options.schedule_steps,
            prefix.format(player.name),
        )
        for player in objective.players
    }
    return Parts(options, objective, optimizers, configs.options(config, "optimizer", lane))


def make_dataset(config: config_dict.ConfigDict) -> Dataset:
    return configs.part("dataset", config.dataset.name).make(configs.options(config, "dataset"))


def first_state(parts: Parts, config: config_dict.ConfigDict, spec: dict[str, Any]) -> State:
    batch = runs.example(spec, config.dataset.batch_size)
    return steps.init(parts.objective, parts.optimizers, batch, parts.options, parts.upward)


def step_of(
    parts: Parts, dataset: Dataset, arrays: Any, shape: tuple[int, ...], mesh: Mesh | None
) -> Callable[[State], tuple[State, dict[str, jax.Array]]]:
    """The train step on batches of one shape; `mesh` as in `step.make_step`."""

    def batch(index, key):
        return dataset.batch(arrays, "train", index, key, *shape)

    return steps.make_step(parts.objective, parts.optimizers, batch, parts.options, mesh)


def after_evaluation(parts: Parts, monitor: steps.Monitor, value: jax.Array) -> steps.Monitor:
    """The monitor after an evaluation."""
    plateau = parts.plateau
    return steps.observe(
        monitor, value, parts.upward, plateau.plateau_patience, plateau.plateau_scale
    )


def time_steps(config: config_dict.ConfigDict, dataset: Dataset) -> int:
    """Of a batch, padding included."""
    return config.dataset.batch_size * runs.steps_of(dataset.spec)


def intervals(config: config_dict.ConfigDict, dataset: Dataset) -> tuple[int, ...]:
    """Numbers of steps after which the run must be back on the host."""
    return (
        *(config.log_every, config.eval_every, config.checkpoint_every, config.num_steps),
        *(() if config.record_every is None else (config.record_every,)),
        *(() if dataset.shape is one_shape else (1,)),  # the host names every batch's shape
    )
