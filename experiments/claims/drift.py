"""Fake points move step by step to the real ones, until they can't be told apart.

python launch.py study --claim=drift
Lecture notes, 3.2: "we will gradually move the fake points near the real points"; "when we can't
distinguish between real and fake points, then we stop". The game of `ring_gan`, 3 seeds. At 100
moments of training the mean distance of fake points, always of the same noise, to the nearest real
one is taken; its rank correlation with time tells whether it falls all along. In the end a
classifier tells 1,000 generated points from as many held-out ones (`metrics/two_sample.py`): that
it is right on a share of 0.6 counts as told apart, as it does for a run that stops by itself.

INCONCLUSIVE, in 24 minutes on one CPU core that other processes shared: the rank correlation is
-0.937 (-0.956 to -0.918), the distance falls from 0.17 in the first tenth to 0.0045 in the last;
but in the end the classifier is right on 60.7 % (53.1 to 68.2 %; of the seeds 64.1, 59.6, 58.3).
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.errors import require
from seqgen.metrics.intervals import over_runs
from seqgen.metrics.samples import checked, nearest

SEEDS = 3
CHECKS = (
    claims.Check("rank correlation of the fakes' distance with time", -0.5, above=False),
    claims.Check("accuracy of telling fakes from held-out points in the end", 0.6, above=False),
)
FALLS, TOLD, PARTS = "rank correlation", "accuracy of telling", 10  # of the time, in the picture


def get_claim() -> claims.Claim:
    game = config.load(f"{Path(__file__).parents[1]}/ring_gan.py")
    runs = claims.over_seeds(("game",), game, {}, SEEDS)
    sentence = (
        "fake points drift to the real ones, which in the end a classifier hardly tells from them"
    )
    chance = claims.Reference("accuracy of telling, chance", 0.5, "both sets alike")
    return claims.Claim(sentence, 24, runs, CHECKS, measure, conclude, (chance,))


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    real_N2, moments = evidence.film(runs[key])
    away = []
    for moment in moments:
        fake_M2, places_N2 = checked(fake=moment.fake, real=real_N2)
        away.append(nearest(fake_M2, places_N2, 1).mean())
    steps = [moment.step for moment in moments]
    found = {FALLS: float(require("scipy.stats", "data").spearmanr(steps, away).statistic)}
    for number, part in enumerate(np.array_split(away, min(PARTS, len(away))), start=1):
        found[f"distance, part {number}"] = float(part.mean())
    return found | {TOLD: evidence.measured(runs[key])["classifier_accuracy"]}


def conclude(rows: claims.Rows) -> claims.Finding:
    numbers = [n for n in next(iter(rows.values())) if n.startswith("distance")]
    line = {i: claims.estimates(rows, n)["game",] for i, n in enumerate(numbers, start=1)}
    across, title = "tenth of the training", f"fake points of a ring, {SEEDS} seeds"
    lines = {"mean distance to the nearest real point": line}
    picture = pictures.curves(lines, across, "distance", title, doubling=False)
    statistics = (claims.each_seed(rows, number)["game",] for number in (FALLS, TOLD))
    return claims.Finding(tuple(map(over_runs, statistics)), picture)
