"""Gated cells keep gradients alive; biases of the gates say for how long.

python launch.py study --claim=half_life
Lecture notes, 2.2.2 and 2.3: an LSTM hands its state on through gates. Rates of the last step's
error on its way back, nats a step, the adding problem of 100 steps as training begins, 5 seeds, 16
examples each: a tanh RNN and LSTMs with a forget bias of 0, 1 and 5 and with biases for memories of
up to 100 steps (chrono, Tallec & Ollivier 2018). That five times the LSTM's rate is above the
RNN's says that its half-life is more than five times as long.

REFUTED, in 2 minutes on one CPU core, the other busy: the RNN -0.237 (-0.261 to -0.212), the LSTM
-0.091 (-0.103 to -0.078), which is 2.6 and not five times the half-life. The biases do what is
claimed: 0 -0.292, 1 -0.091, 5 +0.018, chrono -0.024.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics.intervals import over_runs

VARIANTS = {
    "rnn": "plain",
    "forget bias 0": "forget_0",
    "forget bias 1": "lstm",
    "forget bias 5": "forget_5",
    "chrono": "chrono",
}
SEEDS, TIMES, RATE = 5, 5, "rate, nats a step"
CHECKS = (
    claims.Check(f"{TIMES} times the LSTM's rate minus the RNN's", 0.0, above=True),
    claims.Check("rate with a forget bias of 1 minus that of 0", 0.0, above=True),
    claims.Check("rate with a forget bias of 5 minus that of 1", 0.0, above=True),
    claims.Check("rate with chrono biases minus that with a forget bias of 1", 0.0, above=True),
)


def get_claim() -> claims.Claim:
    folder, runs = Path(__file__).parents[1], {}
    begun = {"num_steps": 1, "dataset.test_size": 500}  # what is looked at is where it begins
    for name, variant in VARIANTS.items():
        experiment = config.load(f"{folder}/remedies.py:{variant}")
        runs |= claims.over_seeds((name,), experiment, begun, SEEDS)
    sentence = (
        "an error's half-life is far longer in an LSTM than in a tanh RNN, and set by forget bias "
        "and chrono initialisation"
    )
    return claims.Claim(sentence, 2.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    return {RATE: evidence.reach_at_start(runs[key]).decay.rate}


def conclude(rows: claims.Rows) -> claims.Finding:
    rate = {name: np.asarray(of) for (name,), of in claims.each_seed(rows, RATE).items()}
    found = claims.estimates(rows, RATE)
    lines = {RATE: {name: found[name,] for name in VARIANTS}}
    title = f"the adding problem as training begins, {SEEDS} seeds"
    picture = pictures.curves(lines, "", RATE, title, doubling=False)
    differences = (
        TIMES * rate["forget bias 1"] - rate["rnn"],
        rate["forget bias 1"] - rate["forget bias 0"],
        rate["forget bias 5"] - rate["forget bias 1"],
        rate["chrono"] - rate["forget bias 1"],
    )
    return claims.Finding(tuple(map(over_runs, differences)), picture)
