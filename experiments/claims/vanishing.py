"""In a tanh RNN the gradient vanishes exponentially with the lag, no slower than its bound says.

python launch.py study --claim=vanishing
Lecture notes, 2.2.2, and Pascanu, Mikolov & Bengio 2013: an error of the last step, walked back
through T steps, shrinks at least by σ_max(W) max|f'| in each. The adding problem as training
begins, orthogonal recurrent weights times 0.9, for which the bound is log 0.9 = -0.105 nats a step;
three lengths, 5 seeds, 16 examples each:
- the fitted rate minus the logarithm of the bound, nats a step;
- the share of the variance of the mean log norm that a straight line explains: is it exponential?
- how often the error halves on its way through 100 steps.

SUPPORTED, in 4 minutes on one CPU core, the other busy: over 100 steps the rate is 0.208 nats below
the bound's (0.185 to 0.231), a straight line explains 99.99 %, and the error halves 45 times (41 to
48); over 50 and 200 steps the rates are alike.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures

LENGTHS, SEEDS, SCALE = (50, 100, 200), 5, 0.9
RATE, STRAIGHT = "rate minus the bound's", "share that a straight line explains"
HALVINGS = "halvings over the sequence"
CHECKS = (
    claims.Check(f"{RATE}, nats a step, 100 steps", 0.0, above=False),
    claims.Check(f"{STRAIGHT}, 100 steps", 0.95, above=True),
    claims.Check("halvings over 100 steps", 10.0, above=True),
)


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/remedies.py:plain"), {}
    # what is looked at is where training begins
    begun = {"model.recurrent_scale": SCALE, "num_steps": 1, "dataset.test_size": 500}
    for length in LENGTHS:
        runs |= claims.over_seeds((length,), experiment, begun | {"dataset.length": length}, SEEDS)
    sentence = "gradients of a tanh RNN vanish exponentially, no slower than their bound says"
    return claims.Claim(sentence, 4.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    norms, decay, bound = evidence.reach_at_start(runs[key])
    straight = float(np.corrcoef(np.arange(len(norms)), norms)[0, 1] ** 2)
    return {RATE: decay.rate - bound, STRAIGHT: straight, HALVINGS: decay.halvings}


def conclude(rows: claims.Rows) -> claims.Finding:
    found = {n: claims.estimates(rows, n) for n in (RATE, STRAIGHT, HALVINGS)}
    lines = {HALVINGS: {length: found[HALVINGS][length,] for length in LENGTHS}}
    title = f"tanh, orthogonal weights times {SCALE:g}, {SEEDS} seeds"
    picture = pictures.curves(lines, "steps of the sequence", HALVINGS, title, doubling=True)
    return claims.Finding(tuple(of[100,] for of in found.values()), picture)
