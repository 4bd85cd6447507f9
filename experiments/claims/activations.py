"""How far gradients reach back is decided by the derivative of the activation.

python launch.py study --claim=activations
Lecture notes, 2.2.2: vanishing is met with "the choice of activation function", whose derivative is
multiplied at every step: at most 1/4 for sigmoid, 1 for tanh and relu, for which it is either 0 or
1. Rates of the last step's error on its way back, nats a step, the adding problem of 100 steps as
training begins, the same orthogonal recurrent weights for all, 5 seeds, 16 examples each.

REFUTED, in a minute on one CPU core, the other busy: -1.475 (-1.483 to -1.467) with sigmoid, -0.237
(-0.261 to -0.212) with tanh, as claimed, but -0.377 (-0.403 to -0.352) with relu. Half of its units
are off at any step, which costs more than tanh's slopes below 1.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics.intervals import over_runs

NAMES, SEEDS, RATE = ("sigmoid", "tanh", "relu"), 5, "rate, nats a step"
CHECKS = (
    claims.Check("rate with tanh minus that with sigmoid", 0.0, above=True),
    claims.Check("rate with relu minus that with tanh", 0.0, above=True),
)


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/remedies.py:plain"), {}
    for name in NAMES:
        # what is looked at is where training begins
        begun = {"model.activation": name, "num_steps": 1, "dataset.test_size": 500}
        runs |= claims.over_seeds((name,), experiment, begun, SEEDS)
    sentence = "gradients reach back further with tanh than with sigmoid, and with relu than either"
    return claims.Claim(sentence, 1.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    return {RATE: evidence.reach_at_start(runs[key]).decay.rate}


def conclude(rows: claims.Rows) -> claims.Finding:
    rate = {name: np.asarray(of) for (name,), of in claims.each_seed(rows, RATE).items()}
    found = claims.estimates(rows, RATE)
    lines = {RATE: {name: found[name,] for name in NAMES}}
    title = f"the adding problem as training begins, {SEEDS} seeds"
    picture = pictures.curves(lines, "", RATE, title, doubling=False)
    differences = rate["tanh"] - rate["sigmoid"], rate["relu"] - rate["tanh"]
    return claims.Finding(tuple(map(over_runs, differences)), picture)
