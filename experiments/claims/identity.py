"""Identity initialisation lets a ReLU network remember, and has its limits.

python launch.py study --claim=identity
Lecture notes, 2.3: "rather than opting for a random initialization of weights it chosen to be
identity … but this too comes with its own limitations". The IRNN (Le, Jaitly & Hinton 2015) on the
adding problem, 64 units, 3,000 steps, 3 seeds: 150 and 300 steps long, beside a tanh RNN from
orthogonal weights; then, as limits, ten times the learning rate, weights that are the identity and
a little noise, and 400 steps. Measured is the share of the variance of the sum that is left (always
answering 1 leaves all), and at most 1, so that one run that diverged does not hide the others.

REFUTED, in 17 minutes on one CPU core that other processes shared, mostly where it speaks of
limits: with noise on the weights all seeds learn it (0.3 % of the variance is left), the only
setting in which they do. From the bare identity two seeds of three learn 150 steps (0.2 and 0.3 %)
and two 300 (0.9 and 1.4 %), the third leaves all; over 400 steps, and at ten times the learning
rate, none does. The tanh RNN leaves 97 %.
"""

from pathlib import Path

from seqgen import claims, config, evidence, pictures

SEEDS, VARIANCE = 3, 1 / 6
NUMBER = "share of the variance left"
TANH = {"model.activation": "tanh", "model.recurrent_init": "orthogonal"}
NAMES = {
    "150 steps": {"dataset.length": 150},
    "300 steps": {"dataset.length": 300},
    "tanh, 150 steps": TANH | {"dataset.length": 150},
    "10 × rate": {"dataset.length": 150, "optimizer.learning_rate": 2e-2},
    "noise": {"dataset.length": 150, "model.recurrent_init": "noisy_identity"},
    "400 steps": {"dataset.length": 400},
}
HELPS = ("150 steps", "300 steps")
CHECKS = tuple(
    claims.Check(f"{NUMBER}, {name}", 0.1 if name in HELPS else 0.5, above=name not in HELPS)
    for name in NAMES
)


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/adding.py:irnn"), {}
    same = {"model.hidden_size": 64, "num_steps": 3000, "eval_every": 1000}
    same["max_nonfinite"] = same["num_steps"]  # a run that diverges is a result
    for name, changes in NAMES.items():
        runs |= claims.over_seeds((name,), experiment, same | changes, SEEDS)
    sentence = (
        "from the identity a ReLU network learns dependencies of 150 and 300 steps, but not at ten "
        "times the learning rate, nor with noise on the weights, nor over 400 steps"
    )
    return claims.Claim(sentence, 17, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    left = evidence.measured(runs[key])["squared_error"] / VARIANCE
    return {NUMBER: left if left < 1 else 1.0}  # NaN, of a run that diverged, is not below


def conclude(rows: claims.Rows) -> claims.Finding:
    left = claims.estimates(rows, NUMBER)
    title = f"adding, ReLU from the identity, {SEEDS} seeds"
    lines = {NUMBER: {name: left[name,] for name in NAMES}}
    picture = pictures.curves(lines, "", NUMBER, title, doubling=False)
    return claims.Finding(tuple(left[name,] for name in NAMES), picture)
