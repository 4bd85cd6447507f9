"""Temporal order learnt from 50 to 200 steps is solved without an error at 1,000.

python launch.py study --claim=temporal_order_length
Pascanu, Mikolov & Bengio 2013 report one network, trained on mixed lengths of 50 to 200 with
clipping and their penalty for vanishing gradients for up to 5 million steps, that makes no error, 5
seeds of 5, and none up to length 5,000 either. Here: an LSTM of 64 units, 1,000 steps, 20 seeds;
10,000 fresh sequences of 1,000 steps. Claimed is what 18 seeds of 20 without an error show: their
share is then above 0.68 (0.683 to 0.988 by Clopper & Pearson, 17 would have 0.621).

REFUTED, in 22 minutes on one CPU core that other processes shared: no seed of 20 is without an
error (0 to 17 %). Of sequences of 200 steps they tell 99.93 % (99.90 to 99.95 %), of 500 steps 51 %
(46 to 57 %), of 1,000 steps 33 % (30 to 37 %), where 25 are chance. Longer training, a higher rate,
zoneout and memories that begin longer did no better, 26 to 41 %, one seed each; a GRU, the same
with Ω, told 55 to 66 %, a min_gru 72 to 75 %. A tanh RNN learns nothing in 3,000 steps.
"""

from pathlib import Path

from seqgen import claims, config, evidence, pictures
from seqgen.metrics import intervals

SEEDS, LENGTHS, DECIDES = 20, (200, 500, 1000), 1000
CHECKS = (claims.Check(f"share of seeds without an error at {DECIDES} steps", 0.68, above=True),)
REFERENCES = (
    claims.Reference(
        "RNN, clipping and Ω: share of 5 seeds without an error", 1.0, "Pascanu et al. 2013"
    ),
    claims.Reference("accuracy, chance", 0.25, "four classes, equally likely"),
)


def get_claim() -> claims.Claim:
    experiment = config.load(f"{Path(__file__).parents[1]}/temporal_order.py:lstm")
    changes = {"dataset.min_length": 50, "dataset.length": 200, "num_steps": 1000}
    changes |= {"eval_every": 500, "checkpoint_every": 500, "dataset.test_size": 2000}
    runs = claims.over_seeds(("LSTM",), experiment, changes, SEEDS)
    sentence = "an LSTM taught temporal order over 50 to 200 steps makes no error over 1,000"
    return claims.Claim(sentence, 22, runs, CHECKS, measure, conclude, REFERENCES)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    fresh = {"min_length": None, "test_size": 10_000, "batch_size": 500}
    found = {length: evidence.measured_on(runs[key], length=length, **fresh) for length in LENGTHS}
    return {spoken(length): numbers["accuracy"] for length, numbers in found.items()}


def spoken(length: int) -> str:
    return f"accuracy at {length} steps"


def conclude(rows: claims.Rows) -> claims.Finding:
    flawless = {
        length: [accuracy == 1 for accuracy in claims.each_seed(rows, spoken(length))["LSTM",]]
        for length in LENGTHS
    }
    shares = {n: intervals.share(sum(each), len(each)) for n, each in flawless.items()}
    title = f"an LSTM taught by 50 to 200 steps, {SEEDS} seeds"
    right = {length: claims.estimates(rows, spoken(length))["LSTM",] for length in LENGTHS}
    lines = {"seeds without an error": shares, "sequences told, mean": right}
    picture = pictures.curves(lines, "length", "share", title, doubling=True)
    return claims.Finding((shares[DECIDES],), picture)
