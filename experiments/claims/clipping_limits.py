"""Clipping tames gradients that explode and does nothing for those that vanish.

python launch.py study --claim=clipping_limits
Lecture notes, 2.2.2: where the gradient "keeps on diminishing", "a dependency over long distance"
becomes "indistinguishable". A factor of at most 1 can't mend that. Temporal order of 40 steps by
plain gradient descent, as in the claim `exploding`: recurrent weights that halve what they hand on,
with clipping to norm 1 and without, and, to show that neither length nor budget is the reason,
weights that hand on 1.5 times of it, clipped. 10 seeds.

SUPPORTED, in 28 minutes on one CPU core that other processes shared: with halving weights accuracy
is 24.8 % clipped (24.4 to 25.2 %, chance 25) and 24.8 % not clipped; with the larger ones, clipped,
99.97 % (99.92 to 100 %).
"""

from pathlib import Path

from seqgen import claims, config, evidence, pictures

SEEDS = 10
CHECKS = (
    claims.Check("accuracy with halving weights, clipped", 0.4, above=False),
    claims.Check("accuracy with larger weights, clipped", 0.75, above=True),
)
NAMES = {
    "halving, not clipped": {"model.recurrent_scale": 0.5, "optimizer.clip_norm": None},
    "halving, clipped": {"model.recurrent_scale": 0.5},
    "larger, clipped": {"dataset.length": 40},  # as the claim `exploding` has it
}
CHANCE = claims.Reference("chance", 0.25, "four classes, equally likely")


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/temporal_order.py:sgd"), {}
    for name, changes in NAMES.items():
        runs |= claims.over_seeds((name,), experiment, changes, SEEDS)
    sentence = "clipping does not make a network learn whose gradients vanish"
    return claims.Claim(sentence, 28.0, runs, CHECKS, measure, conclude, (CHANCE,))


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    return {"accuracy": evidence.measured(runs[key])["accuracy"]}


def conclude(rows: claims.Rows) -> claims.Finding:
    accuracy = claims.estimates(rows, "accuracy")
    lines = {"accuracy": {name: accuracy[name,] for name in NAMES}}
    title = f"temporal order, 40 steps, {SEEDS} seeds"
    picture = pictures.curves(lines, "", "accuracy", title, doubling=False)
    return claims.Finding((accuracy["halving, clipped",], accuracy["larger, clipped",]), picture)
