"""Normalising the state before it is handed on keeps exploding gradients in check.

python launch.py study --claim=normalising
Lecture notes, 2.2.1: exploding can be "tackled with normalization of the output before passing thus
keeping in check". Temporal order by plain gradient descent, as in the claim `exploding`, with layer
normalisation of the recurrent gates (Ba, Kiros & Hinton 2016) and without, nothing clipped, 10
seeds:
- the gradient's norm in the first step, 100 steps long, orthogonal recurrent weights times 2;
- accuracy after 8,000 steps of training, 40 steps long, weights times 1.5.

INCONCLUSIVE, in 12 minutes on one CPU core that other processes shared: the first gradient's norm
is 10^1.76 times smaller (1.41 to 2.11), but accuracy is 29.8 % (22.7 to 36.9 %) against 24.9 %
(24.7 to 25.2 %; chance 25): 2 of 10 seeds of the normalised networks begin to learn the task.
"""

import math
from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics.intervals import over_runs

SEEDS = 10
CHECKS = (
    claims.Check("log10 of the gradient's norm, plain minus normalised", 1.0, above=True),
    claims.Check("accuracy after training, normalised minus plain", 0.0, above=True),
)
NORM, ACCURACY = "log10 of the gradient's norm", "accuracy"
NAMES = {"plain": {}, "normalised": {"model.normalize": True}}


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/temporal_order.py:sgd"), {}
    experiment.optimizer.clip_norm = None
    begin = {"dataset.length": 100, "dataset.test_size": 500, "log_every": 1}
    begin |= {"model.recurrent_scale": 2.0}
    begin |= dict.fromkeys(("num_steps", "eval_every", "checkpoint_every"), 20)
    for name, changes in NAMES.items():
        runs |= claims.over_seeds((name, "begun"), experiment, begin | changes, SEEDS)
        runs |= claims.over_seeds((name, "trained"), experiment, changes, SEEDS)
    sentence = (
        "normalising what the state hands on keeps the first gradient from exploding, and training "
        "succeeds better for it"
    )
    return claims.Claim(sentence, 12.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    if key[1] == "begun":
        norms = evidence.history(runs[key], "gradient_norm")
        return {NORM: math.log10(norms[min(norms)])}
    return {ACCURACY: evidence.measured(runs[key])["accuracy"]}


def conclude(rows: claims.Rows) -> claims.Finding:
    norms, accuracy = claims.each_seed(rows, NORM), claims.each_seed(rows, ACCURACY)
    grown_S = np.subtract(norms["plain", "begun"], norms["normalised", "begun"])
    better_S = np.subtract(accuracy["normalised", "trained"], accuracy["plain", "trained"])
    found = {NORM: claims.estimates(rows, NORM), ACCURACY: claims.estimates(rows, ACCURACY)}
    lines = {
        number: {name: estimate for (name, _), estimate in of.items()}
        for number, of in found.items()
    }
    title = f"temporal order, nothing clipped, {SEEDS} seeds"
    picture = pictures.curves(lines, "", "", title, doubling=False)
    return claims.Finding((over_runs(grown_S), over_runs(better_S)), picture)
