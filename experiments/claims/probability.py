"""The probability of real points keeps rising while a GAN is trained?

python launch.py study --claim=probability
Lecture notes, 3.2: "the probability of real points being general keeps on increasing after over the
course of training". Theory says otherwise: against a generator that is as good as can be, the best
discriminator gives every point 1/2 (Goodfellow et al. 2014). The game of `ring_gan` with the
non-saturating loss, whose D is a probability, 3 seeds: the mean of D(real) in the last tenth of the
training minus that in the first, and minus the largest of the tenths before, which it must exceed
to keep rising; and the rank correlation of D(real) with time. Beside them how far the last tenth is
from 1/2.

INCONCLUSIVE, in 15 minutes on one CPU core, the other busy: it rises by 0.0050 (-0.0012 to 0.0112),
with a rank correlation of 0.66 (0.52 to 0.79), and its last tenth lies 0.008 below the largest
before, but for the chance of 3 seeds (-0.022 to 0.006). D(real) is 0.500 while the penalty is
strong, 0.516 in the sixth tenth and 0.508 in the last, on its way to the 1/2 of theory.

By the first and the last alone, of the seeds 0 to 2, it was SUPPORTED: a rise of 0.0031 (0.0002 to
0.0059), rank correlation 0.61 (0.58 to 0.63). But D(real) was 0.513 in the seventh tenth and 0.506
in the last.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.errors import require

SEEDS, FIRST_SEED, PARTS = 3, 3, 10  # seeds that no other threshold has seen
RISE, ALONG, LAST = "last tenth minus first", "rank correlation with time", "last tenth minus 1/2"
PEAK = "last tenth minus the largest before"
CHECKS = (
    claims.Check(f"D(real), {RISE}", 0.0, above=True),
    claims.Check(f"D(real), {ALONG}", 0.5, above=True),
    claims.Check(f"D(real), {PEAK}", 0.0, above=True),
)
THEORY = claims.Reference("D(real) in the end", 0.5, "theory: Goodfellow et al. 2014")


def get_claim() -> claims.Claim:
    game = config.load(f"{Path(__file__).parents[1]}/ring_gan.py")
    changes = {"objective.loss": "non_saturating", "log_every": 200}
    runs = claims.over_seeds(("game",), game, changes, SEEDS, FIRST_SEED)
    sentence = "the probability that the discriminator gives real points keeps rising"
    return claims.Claim(sentence, 15.0, runs, CHECKS, measure, conclude, (THEORY,))


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    real = evidence.history(runs[key], "d_real")
    tenths = [float(np.mean(p)) for p in np.array_split(list(real.values()), PARTS) if len(p)]
    order = require("scipy.stats", "data").spearmanr(list(real), list(real.values()))
    parts = {f"D(real), part {number}": mean for number, mean in enumerate(tenths, start=1)}
    return parts | {
        RISE: tenths[-1] - tenths[0],
        PEAK: tenths[-1] - max(tenths[:-1]),
        ALONG: float(order.statistic),
        LAST: tenths[-1] - 0.5,
    }


def conclude(rows: claims.Rows) -> claims.Finding:
    numbers = [n for n in next(iter(rows.values())) if n.startswith("D(real)")]
    line = {i: claims.estimates(rows, n)["game",] for i, n in enumerate(numbers, start=1)}
    across, title = "tenth of the training", f"a game of points on a ring, {SEEDS} seeds"
    picture = pictures.curves({"D(real)": line}, across, "mean D(real)", title, doubling=False)
    found = (claims.estimates(rows, number)["game",] for number in (RISE, ALONG, PEAK))
    return claims.Finding(tuple(found), picture)
