"""Steps per second of a tiny model: the real train loop against one dispatch a step.

Both run the same train step (LSTM, B 8, T 10, D 16, Adam); the loop also logs, validates and saves.
`python benchmarks/dispatch.py` prints the medians of alternating rounds and their ratio, as JSON.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import jax

from seqgen import backend, train
from seqgen import config as configs
from seqgen.checkpoint import Checkpoints
from seqgen.interrupt import Interrupt
from seqgen.progress import Progress
from seqgen.session import prepare

STEPS, ROUNDS = 20_000, 7


def tiny(num_steps: int):
    c = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    c.dataset.batch_size, c.dataset.length, c.dataset.test_size = 8, 10, 80
    c.model.hidden_size = 16
    c.optimizer.rule = "adam"
    c.num_steps = num_steps
    c.log_every, c.eval_every, c.checkpoint_every = 1000, STEPS, STEPS
    return c


def loop_rate(folder: Path) -> float:
    """Steps per second of `train.loop`, compiled before the clock starts."""
    with Progress(folder / "log.txt") as progress, Interrupt() as interrupt:
        session = prepare(tiny(STEPS), folder, progress)
        count = session.layout.steps_per_call
        state, _ = session.call(session.begin(), session.arrays, 0, count)
        jax.block_until_ready(session.validate(state.evaluated, session.arrays, interrupt))
        with Checkpoints(folder) as checkpoints:
            began = time.perf_counter()
            train.loop(session, checkpoints, interrupt, progress)
            return STEPS / (time.perf_counter() - began)


def single_rate(folder: Path) -> float:
    """Steps per second of the same step, one dispatch each, and nothing else."""
    with Progress(folder / "log.txt") as progress:
        config = tiny(STEPS)
        config.log_every = config.eval_every = config.checkpoint_every = config.num_steps = 1
        session = prepare(config, folder, progress)
    assert session.layout.steps_per_call == 1
    state, _ = session.call(session.begin(), session.arrays, 0, 1)
    began = time.perf_counter()
    for number in range(STEPS):
        state, _ = session.call(state, session.arrays, number, 1)
    jax.block_until_ready(state)
    return STEPS / (time.perf_counter() - began)


def main() -> None:
    backend.start(8, compilation_cache=True)
    rates = {"train loop": [], "one dispatch a step": []}
    for _ in range(ROUNDS):
        for name, measure in zip(rates, (loop_rate, single_rate), strict=True):
            with tempfile.TemporaryDirectory() as folder:
                rates[name].append(measure(Path(folder)))
    found = {name: round(statistics.median(values)) for name, values in rates.items()}
    found["ratio"] = round(found["train loop"] / found["one dispatch a step"], 2)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
