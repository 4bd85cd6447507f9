"""A GAN needs a large sample: with few real examples it varies abruptly and is caught.

python launch.py study --claim=sample_size
Lecture notes, 3.2: "the sample needs to be large, otherwise the variations would be abrupt"; "if we
have very few real points … people might catch that it is a fake image". GANs of n digits and of n
points of a ring (4,000 steps), 3 seeds:
- the gap: P(the discriminator takes a training example to be more real than a held-out one);
- coverage: share of held-out examples with a generated one near;
- accuracy of telling generated from held-out examples;
- abruptness: the largest step over the mean one, of 64 along great circles in the noise.
The digits decide: 64 of them against all.

SUPPORTED, in 15 minutes on one CPU core after `augment` and `detect`, with which it shares all runs
of digits: gap 0.99 against 0.53, coverage 0.78 against 0.97, told apart 90 % against 65 %,
abruptness 1.86 against 1.43. The ring needs no more than 256 points for any of it.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics import coverage, detection, latents, two_sample
from seqgen.metrics.intervals import over_runs

SIZES = {"digits": (64, 128, 256, 512, 1257), "ring": (64, 256, 1024, 4096, 16_384)}
SEEDS, ASKED, WALKS, PLACES = 3, 1000, 20, 65
LARGER = {"gap": True, "coverage": False, "accuracy of telling": True, "abruptness": True}
CHECKS = tuple(
    claims.Check(f"{number} with 64 digits minus with all", 0.0, above=larger)
    for number, larger in LARGER.items()
)


def get_claim() -> claims.Claim:
    folder, runs = Path(__file__).parents[1], {}
    games = {
        "digits": config.load(f"{folder}/digits_gan.py"),
        "ring": config.load(f"{folder}/ring_gan.py:quick"),
    }
    for name, sizes in SIZES.items():
        for size in sizes:
            few = {} if (name, size) == ("digits", 1257) else {"dataset.train_size": size}
            runs |= claims.over_seeds((name, size), games[name], few, SEEDS)
    sentence = (
        "with few real examples a GAN's discriminator knows them by heart, and what is generated "
        "covers less of the data, is told from them more easily and varies more abruptly"
    )
    return claims.Claim(sentence, 31.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    one = runs[key]
    real, class_N = (part[:ASKED] for part in evidence.examples(one, "test"))
    made = evidence.generated(one, class_N, 0)
    of_train = evidence.scores(one, *evidence.examples(one, "train"))
    walks = [latents.abruptness(evidence.walk(one, seed, PLACES)) for seed in range(WALKS)]
    return {
        "gap": detection.auroc(evidence.scores(one, real, class_N), of_train).value,
        "coverage": coverage.neighbours(real, made, draws=2).coverage.value,
        "accuracy of telling": two_sample.classifier(real, made).accuracy.value,
        "abruptness": float(np.mean(walks)),
    }


def conclude(rows: claims.Rows) -> claims.Finding:
    def change(number: str):
        of, sizes = claims.each_seed(rows, number), SIZES["digits"]
        return over_runs(np.subtract(of["digits", sizes[0]], of["digits", sizes[-1]]))

    lines = {
        f"{number}, {name}": {size: claims.estimates(rows, number)[name, size] for size in sizes}
        for number in ("gap", "coverage", "accuracy of telling")
        for name, sizes in SIZES.items()
    }
    title = f"GANs of n examples, {SEEDS} seeds"
    picture = pictures.curves(lines, "n", "share", title, doubling=True)
    return claims.Finding(tuple(map(change, LARGER)), picture)
