"""Parity learnt up to 40 bits is known up to 500 by an LSTM, and not by a min_gru.

python launch.py study --claim=parity_length
Delétang et al. 2023 train on lengths up to 40 and test on 41 to 500: an RNN and an LSTM score
100 %, a transformer 52.0 %, the best of 10 seeds and several settings, as quoted by later work.
Here every seed counts: LSTM and min_gru of 64 units, 4,000 steps, 5 seeds, 10,000 sequences of 41
to 500 bits. The gates of min_gru read the input alone and are positive, so that its state can't
turn round with every one.

SUPPORTED, in 23 minutes on one CPU core that other processes shared: LSTM 100 %, each of the five
seeds; min_gru 50.5 % (50.2 to 50.8 %), and 52.2 % (51.6 to 52.8 %) on the lengths that it was
taught.
"""

from pathlib import Path

from seqgen import claims, config, evidence, pictures

SEEDS, LENGTHS = 5, (40, 500)
CELLS = ("lstm", "min_gru")
CHECKS = (
    claims.Check("accuracy on 41 to 500 bits, LSTM", 0.99, above=True),
    claims.Check("accuracy on 41 to 500 bits, min_gru", 0.55, above=False),
)
QUOTED = "Delétang et al. 2023, as quoted by later work; the best of 10 seeds"
REFERENCES = (
    claims.Reference("LSTM", 1.0, QUOTED),
    claims.Reference("transformer", 0.52, QUOTED),
    claims.Reference("chance", 0.5, "even and odd, equally likely"),
)


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/parity.py:lstm"), {}
    for cell in CELLS:
        changes = {"model.cell": cell, "num_steps": 4000}
        runs |= claims.over_seeds((cell,), experiment, changes, SEEDS)
    sentence = "an LSTM taught parity by 40 bits knows it for 500, and a min_gru does not"
    return claims.Claim(sentence, 23, runs, CHECKS, measure, conclude, REFERENCES)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    longer = evidence.measured_on(runs[key], min_length=41, length=500, batch_size=500)
    found = {40: evidence.measured(runs[key]), 500: longer}
    return {spoken(length): numbers["accuracy"] for length, numbers in found.items()}


def spoken(length: int) -> str:
    return f"accuracy up to {length} bits"


def conclude(rows: claims.Rows) -> claims.Finding:
    found = {length: claims.estimates(rows, spoken(length)) for length in LENGTHS}
    lines = {cell: {length: of[cell,] for length, of in found.items()} for cell in CELLS}
    title = f"parity, taught by up to 40 bits, {SEEDS} seeds"
    picture = pictures.curves(lines, "bits at most", "accuracy", title, doubling=True)
    return claims.Finding(tuple(found[500][cell,] for cell in CELLS), picture)
