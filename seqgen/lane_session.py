"""What lanes of one program share, and each lane's session made of it.

`lanes.py` trains them. Whatever is compiled for a lane takes its values, so it is compiled once.
"""

import functools
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import config_dict

from seqgen import ahead, environment, frames, plan
from seqgen import config as configs
from seqgen.datasets import Dataset
from seqgen.evaluator import Evaluator, Measure
from seqgen.interrupt import Interrupt
from seqgen.objectives import Player
from seqgen.parts import (
    Parts,
    State,
    after_evaluation,
    first_state,
    intervals,
    lane_fields,
    make_dataset,
    make_parts,
    time_steps,
)
from seqgen.progress import Progress
from seqgen.session import (
    Session,
    lay_out,
    looker,
    record,
    reports,
    rows_together,
    say_where_the_schedules_end,
    stored_config,
)

Values = dict[str, Any]  # dotted name -> a lane's own seed or number


class Shared:
    """Of settled configs that may share a program (`lanes.groups`).

    Attributes:
      dataset: of all of them.
      lanes: how they are laid out.
      layout: of each of them, as of a run alone on one device.
      arrays: the dataset's, on the devices.
      begin: values -> a lane's first state.
    """

    def __init__(self, all_configs: Sequence[config_dict.ConfigDict]) -> None:
        self._config = all_configs[0]
        self.dataset = make_dataset(self._config)
        flat = [configs.fields(config) for config in all_configs]
        free = lane_fields(self._config)
        # what is the same for all stays a constant of the program; the seed never is, so that other
        # seeds find it compiled
        self._own = [n for n in free if n == "seed" or len({fields[n] for fields in flat}) > 1]
        self.begin = jax.jit(lambda values: self._first(self.parts(values)))
        values = self.values(self._config)
        self._shapes = jax.eval_shape(self.begin, values)
        self.lanes = self._lane_plan(len(flat))
        layout = lay_out(
            self._shapes,
            rows=rows_together(self._config),
            time_steps=time_steps(self._config, self.dataset),
            intervals=intervals(self._config, self.dataset),
            available=1,
            lanes=math.ceil(self.lanes.at_once / self.lanes.devices),
        )
        self.layout = layout._replace(compiler_options=self.lanes.compiler_options)
        devices = jax.devices()[: self.lanes.devices]
        self._mesh = jax.make_mesh(
            (len(devices),), ("batch",), (jax.sharding.AxisType.Auto,), devices=devices
        )
        self._everywhere = NamedSharding(self._mesh, P())
        self.arrays = jax.device_put(self.dataset.arrays, self._everywhere)
        self._evaluator = functools.cache(self._make_evaluator)
        self._compiles_ahead = False
        self._observe = jax.jit(
            lambda monitor, value, values: after_evaluation(self.parts(values), monitor, value)
        )

    def parts(self, values: Values) -> Parts:
        """The parts of a lane, whose values may be traced."""
        return make_parts(self._config, self.dataset.spec, values)

    def values(self, config: config_dict.ConfigDict) -> Values:
        """What is a lane's own."""
        fields = configs.fields(config)
        return {n: np.uint32(fields[n]) if n == "seed" else fields[n] for n in self._own}

    def _first(self, parts: Parts) -> State:
        return first_state(parts, self._config, self.dataset.spec)

    def _lane_plan(self, count: int) -> plan.LanePlan:
        device, on_host = jax.devices()[0], jax.default_backend() == "cpu"
        stats = None if on_host else device.memory_stats()
        free = stats["bytes_limit"] - stats["bytes_in_use"] if stats else environment.free_bytes()
        parts = make_parts(self._config, self.dataset.spec)
        return plan.lane_plan(
            platform=jax.default_backend(),
            available=jax.device_count(),
            lanes=count,
            state_bytes=tree_bytes(self._shapes),
            saved_bytes=saved_bytes(parts, self.dataset, self._shapes),
            free_bytes=free,
        )

    def _make_evaluator(self, split: str) -> Evaluator:
        base = self.parts(self.values(self._config)).objective

        def measure(both, memory, batch, key):
            values, params = both
            return self.parts(values).objective.measure(params, memory, batch, key)

        return Evaluator(base._replace(measure=measure), self.dataset, split, self._mesh)

    def measure(self, values: Values, split: str) -> Measure:
        """A lane's evaluator of a split: an `Evaluator`, whose rows all devices share."""

        def measure(params: dict[str, Any], arrays: Any, interrupt: Interrupt):
            both = jax.device_put((values, params), self._everywhere)
            return self._evaluator(split)(both, arrays, interrupt)

        return measure

    def compile_ahead(self, compiler: Executor) -> None:
        """Has what evaluates the lanes compiled meanwhile, once."""
        if self._compiles_ahead:
            return
        self._compiles_ahead = True
        values = jax.device_put(self.values(self._config), self._everywhere)
        both = values, ahead.placed(self._shapes.evaluated, self._everywhere)
        for split in ("valid", "test"):
            if split in self.dataset.num_batches:
                self._evaluator(split).compile_ahead(compiler, both, self.arrays)

    def session(self, config: config_dict.ConfigDict, workdir: Path, progress: Progress) -> Session:
        """One lane's, its records written or checked, as `session.prepare` does for a run alone."""
        parts, values = make_parts(config, self.dataset.spec), self.values(config)
        layout = self.layout._asdict() | {"lanes": self.lanes.how}
        look = looker(parts, self.dataset)
        record(config, stored_config(workdir), self.dataset, layout, workdir, progress)
        say_where_the_schedules_end(config, parts, progress)
        every = config.record_every
        return Session(
            config=config,
            options=parts.options,
            workdir=workdir,
            dataset=self.dataset,
            arrays=self.arrays,
            layout=self.layout,
            reports=reports(parts),
            begin=partial(self.begin, values),
            target=self._shapes,
            call=None,
            observe=lambda monitor, value: self._observe(monitor, value, values),
            validate=self.measure(values, "valid"),
            look=look,
            film=frames.recorder(workdir, every, parts.objective, self.dataset, self.arrays),
        )


def saved_bytes(parts: Parts, dataset: Dataset, state: State) -> int:
    """What a forward pass of the player that needs most leaves for its backward pass.

    Of the largest batch, where shapes differ.
    """

    def saved(player: Player, shape: tuple[int, ...], state: State, arrays: Any) -> Any:
        batch = dataset.batch(arrays, "train", state.step, state.key, *shape)

        def loss(own):
            clock = (state.step, state.key)
            return player.loss(own, state.params, state.memory, batch, clock)[0]

        return jax.vjp(loss, state.params[player.name])[1]

    an_epoch = range(dataset.num_batches.get("train", 1))  # what is generated has one shape
    shapes = {dataset.shape("train", number, True) for number in an_epoch}
    return max(
        tree_bytes(jax.eval_shape(partial(saved, player, shape), state, dataset.arrays))
        for player in parts.objective.players
        for shape in shapes
    )


def tree_bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
