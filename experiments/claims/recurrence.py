"""An RNN uses what it read before: it solves what the last input alone, or a bag of all, cannot.

python launch.py study --claim=recurrence
Lecture notes, 2: "the output at time t rather than just being dependent on the input at time t will
also have associativity with the captured information from time t-1". Temporal order, 40 steps, by
plain gradient descent: a tanh RNN with large recurrent weights and clipped gradients, which reach
that far (see the claim `clipping_limits`); the same output layer on the last input alone, which is
all that a network without memory has at the end, where it is one of four symbols that tell nothing;
and on the mean of all inputs, which tells how many of each there were and not which came first: so
it knows AA and BB, half of the examples, and can but guess AB or BA, 75 %. 5 seeds, none of them of
the runs that have shown that such an RNN can learn it.

INCONCLUSIVE, in 2 minutes on one CPU core, the other busy: the RNN is right on 95.0 % (81.0 to
108.9 %): four of its seeds on 99.99 % and more, and one, not yet there, on 74.8 %. The last input
alone is right on 24.7 % (24.3 to 25.2 %), the bag on 75.4 % (75.3 to 75.5 %). The RNN's seeds 0 to
4, of which that was known before, are right on 99.95 % (99.8 to 100 %).

Over 100 steps, with orthogonal weights and Adam, it was REFUTED: the RNN was right on 24.8 % (23.9
to 25.6 %), chance, since it did not learn: its gradient vanishes (see the claim `vanishing`).
"""

from pathlib import Path

from seqgen import claims, config, evidence, pictures

SEEDS, FIRST_SEED = 5, 10  # those that no other claim has seen
CHECKS = (
    claims.Check("accuracy of the RNN", 0.99, above=True),
    claims.Check("accuracy of the last input alone", 0.3, above=False),
    claims.Check("accuracy of all inputs without their order", 0.8, above=False),
)
NAMES = {
    "RNN": {},
    "last input": {"model.recurrent": False},
    "bag": {"model.recurrent": False, "model.pooling": "mean"},
}
CHANCE = claims.Reference("chance", 0.25, "four classes, equally likely")


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/temporal_order.py:sgd"), {}
    for name, changes in NAMES.items():
        runs |= claims.over_seeds((name,), experiment, changes, SEEDS, FIRST_SEED)
    sentence = "a recurrent network solves what needs memory, and no network without memory does"
    return claims.Claim(sentence, 2.0, runs, CHECKS, measure, conclude, (CHANCE,))


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    return {"accuracy": evidence.measured(runs[key])["accuracy"]}


def conclude(rows: claims.Rows) -> claims.Finding:
    accuracy = claims.estimates(rows, "accuracy")
    lines = {"accuracy": {name: accuracy[name,] for name in NAMES}}
    title = f"temporal order, 40 steps, {SEEDS} seeds"
    picture = pictures.curves(lines, "", "accuracy", title, doubling=False)
    return claims.Finding(tuple(accuracy[name,] for name in NAMES), picture)
