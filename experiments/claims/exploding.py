"""With large recurrent weights gradients explode, and clipping them by their norm rescues training.

python launch.py study --claim=exploding
Lecture notes, 2.2.1: "when the gradient accumulated to be too large, the explosion of the gradient
happens". Temporal order as in Pascanu et al. 2013: 50 tanh units, plain gradient descent, 20
sequences a step, success being less than 1 % errors in 10,000 fresh sequences.
- The gradient's norm in the first step, 100 steps long, from orthogonal recurrent weights times 1
  and times 2.
- Success against length with clipping to norm 1 and without, weights times 1.5, 8,000 steps: the
  form of their figure 7, whose own runs have up to 5 million steps.
10 seeds; a seed's success is the mean over the lengths.

SUPPORTED, in 24 minutes on one CPU core that other processes shared: with weights times 2 the
gradient is 10^1.76 times as large (1.40 to 2.12). Success with clipping and without: 20 steps, all
seeds and half; 40 steps, all and none; 60 steps, none and none.
"""

import math
from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics.intervals import over_runs

SEEDS, LENGTHS, SOLVED = 10, (20, 40, 60), 0.99
CHECKS = (
    claims.Check("log10 of the gradient's norm, weights times 2, minus times 1", 1.0, above=True),
    claims.Check("success with clipping minus without, mean over lengths", 0.0, above=True),
)
NORM, SUCCESS = "log10 of the gradient's norm", "success"


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/temporal_order.py:sgd"), {}
    begin = {"dataset.length": 100, "dataset.test_size": 500, "log_every": 1}
    begin |= dict.fromkeys(("num_steps", "eval_every", "checkpoint_every"), 20)
    for scale in (1.0, 2.0):
        changes = begin | {"model.recurrent_scale": scale}
        runs |= claims.over_seeds(("weights times", scale), experiment, changes, SEEDS)
    for length in LENGTHS:
        for name, clip in (("clipped", 1.0), ("not clipped", None)):
            changes = {"dataset.length": length, "optimizer.clip_norm": clip}
            runs |= claims.over_seeds((name, length), experiment, changes, SEEDS)
    sentence = "large recurrent weights make gradients explode, and clipping rescues training"
    return claims.Claim(sentence, 24, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    if key[0] == "weights times":
        norms = evidence.history(runs[key], "gradient_norm")
        return {NORM: math.log10(norms[min(norms)])}
    return {SUCCESS: float(evidence.measured(runs[key])["accuracy"] > SOLVED)}


def conclude(rows: claims.Rows) -> claims.Finding:
    norms, success = claims.each_seed(rows, NORM), claims.each_seed(rows, SUCCESS)
    grown_S = np.subtract(norms["weights times", 2.0], norms["weights times", 1.0])
    clipped_LS, plain_LS = (
        np.asarray([success[name, length] for length in LENGTHS])
        for name in ("clipped", "not clipped")
    )
    rescued = over_runs(np.mean(clipped_LS - plain_LS, axis=0))
    shares = claims.estimates(rows, SUCCESS)
    lines = {
        name: {length: shares[name, length] for length in LENGTHS}
        for name in ("clipped", "not clipped")
    }
    title = f"temporal order by plain gradient descent, {SEEDS} seeds"
    picture = pictures.curves(lines, "length", "share of seeds", title, doubling=False)
    return claims.Finding((over_runs(grown_S), rescued), picture)
