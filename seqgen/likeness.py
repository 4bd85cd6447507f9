"""How like the data is what a model makes of noise: what its evaluation says.

Told apart or not, collapsed or copied (`metrics/verdict.py`); how many modes of a known mixture;
what recurrent networks make of series (`metrics/series.py`); and pictures of real and generated
examples. `looks.py` ends runs by such comparisons.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import decoding, marks, pictures, run_directory
from seqgen import run as runs
from seqgen.datasets import Dataset
from seqgen.details import Details, every
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.metrics import Meaning, coverage, memorisation, series, two_sample, verdict
from seqgen.run import Found, Run

SAMPLES = 2500  # generated, as in the published tables of modes
TRAINED = memorisation.TRAINED  # training examples at most that samples may be copies of
NUMBERS = 2**27  # in them at most: half a gigabyte
BLOCK = 500  # generated at once
SHOWN = 10  # examples of a row in a picture
KINDS = ("image", "vector", "real")  # of inputs that are numbers

REPORTS = {
    "modes": Meaning("", larger_is_better=True),
    "high_quality": Meaning("", larger_is_better=True),
    "reverse_kl": Meaning("nats", larger_is_better=False),
    "classifier_accuracy": Meaning("", larger_is_better=False),
    "mmd2": Meaning("", larger_is_better=False),
    "coverage": Meaning("", larger_is_better=True),
    "density": Meaning("", larger_is_better=True),
    "precision": Meaning("", larger_is_better=True),
    "recall": Meaning("", larger_is_better=True),
    # of a classifier, that would be noticed with a power of 0.8
    "detectable_accuracy": Meaning("", larger_is_better=False),
    "discriminative_score": Meaning("", larger_is_better=False),
    "predictive_score": Meaning("", larger_is_better=False),
    "predictive_score_of_real": Meaning("", larger_is_better=False),
}


def numbers_of(judged: verdict.Verdict) -> dict[str, float]:
    """A verdict's, as REPORTS calls them."""
    near = judged.neighbours
    return {
        "classifier_accuracy": judged.classifier.accuracy.value,
        "detectable_accuracy": two_sample.detectable(judged.classifier.n, judged.level),
        "mmd2": judged.kernel.mmd2.value,
        **{name: getattr(near, name).value for name in near._fields[:4]},
    }


def describer(
    run: Run, dataset: Dataset, split: str
) -> Callable[[Found, Any, Interrupt, Path], Details]:
    """(checkpoint, the dataset's arrays, interrupt, path) -> details; draws beside the path."""
    generate = jax.jit(partial(run.objective.generate, options=decoding.Options()))

    def describe(found: Found, arrays: Any, interrupt: Interrupt, path: Path) -> Details:
        real, classes_N = examples(found, dataset, split, SAMPLES, arrays, interrupt)
        train, partly = trained(found, dataset, arrays, interrupt)
        made, _ = generated(generate, found, classes_N)
        if not np.all(np.isfinite(made)):
            return Details({}, {}, "samples are not finite")
        draw(run, found, real, made, classes_N, path)
        counted = modes(run.spec, made)
        try:
            judged = verdict.judged(flat(train), flat(real), flat(made), look=1)
            more = of_series(run.spec, real, made, interrupt)
        except UsageError as error:  # too few examples are no reason to lose an evaluation
            return Details(counted, {}, f"without a comparison of samples with data: {error}")
        numbers = counted | numbers_of(judged)
        facts = {"verdict": judged.word, "judged": plain(judged), "generated": len(made)}
        sentences = filter(None, (judged.sentence + partly, more.sentence))
        return Details(numbers | more.metrics, facts | more.facts, "; ".join(sentences))

    return describe


def examples(
    found: Found, dataset: Dataset, split: str, most: int, arrays: Any, interrupt: Interrupt
) -> tuple[np.ndarray, np.ndarray]:
    """So many regular examples at most of a split, and their classes, 0 where they have none.

    They are drawn at random, always the same: a split may come in an order, such as MNIST's test
    digits, whose first half other people wrote than the second. Arrays stay in the split's order.
    """
    inputs, targets = first(found, dataset, split, math.inf, arrays, interrupt)
    drawn = np.random.RandomState(0).permutation(len(inputs))[:most]  # the same for ever (NEP 19)
    return inputs[np.sort(drawn)], targets[np.sort(drawn)]


def first(
    found: Found, dataset: Dataset, split: str, most: float, arrays: Any, interrupt: Interrupt
) -> tuple[np.ndarray, np.ndarray]:
    """As `examples`, but the first so many or a few more, without reading the others."""
    targets = dataset.spec["targets"]
    classed = targets["kind"] == "category" and targets["per"] == "sequence"

    @partial(jax.jit, static_argnums=3)
    def look(params, arrays, index, shape):
        del params
        batch = dataset.batch(arrays, split, index, None, *shape)
        kept = {name: batch[name] for name in ("inputs", "weight_B")}
        none_B = jnp.zeros(batch["weight_B"].shape, jnp.int32)
        return kept | {"targets": batch["targets"] if classed else none_B}

    pieces, count = [], 0
    for piece in every(look, found, dataset, split, arrays, interrupt):
        pieces.append(piece)
        count += len(piece["inputs"])
        if count >= most:
            break
    inputs, targets = (np.concatenate([p[n] for p in pieces]) for n in ("inputs", "targets"))
    if "held_out" in dataset.spec:  # nothing like it is to be made
        regular_N = targets != dataset.spec["held_out"]
        inputs, targets = inputs[regular_N], targets[regular_N]
    return inputs, targets


def trained(
    found: Found, dataset: Dataset, arrays: Any, interrupt: Interrupt
) -> tuple[np.ndarray, str]:
    """The training examples, at most `TRAINED` and `NUMBERS`, and what to say if there are more."""
    numbers = runs.example(dataset.spec, 1)["inputs"].size
    most = min(TRAINED, max(SAMPLES, NUMBERS // numbers))
    inputs, _ = first(found, dataset, "train", most + 1, arrays, interrupt)
    if len(inputs) <= most:
        return inputs, ""
    return inputs[:most], f" (copies looked for among the first {most} training examples only)"


def generated(
    generate: Callable[..., jax.Array], found: Found, classes_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`SAMPLES` new examples, and the classes that a conditional model is told: the real ones'."""
    keys_N = jax.random.split(jax.random.key(0), SAMPLES)
    targets_N = np.resize(classes_N, SAMPLES)
    pieces = [
        generate(
            found.params,
            found.memory,
            keys_N[i : i + BLOCK],
            {"targets": jnp.asarray(targets_N[i : i + BLOCK])},
        )
        for i in range(0, SAMPLES, BLOCK)
    ]
    return np.concatenate([np.asarray(piece) for piece in pieces]), targets_N


def of_series(
    spec: dict[str, Any], real: np.ndarray, made: np.ndarray, interrupt: Interrupt
) -> Details:
    """What recurrent networks make of generated series; of other data nothing.

    Raises Interrupted between two scores when a signal has come.
    """
    if spec["inputs"]["kind"] != "real":
        return Details({}, {}, "")
    found = []
    for score in (series.discriminative, series.predictive):
        found.append(score(real, made))
        if interrupt.requested:
            raise Interrupted(interrupt.requested)
    apart, ahead = found
    numbers = {
        "discriminative_score": apart.score.value,
        "predictive_score": ahead.score.value,
        "predictive_score_of_real": ahead.of_real.value,
    }
    facts = {"series": {"discriminative": apart._asdict(), "predictive": ahead._asdict()}}
    score, refits = apart.score, len(apart.accuracies)
    between = f"{score.low:.3f} to {score.high:.3f} by {refits} refits, n={apart.n}"
    if apart.length < real.shape[1]:
        between += f", windows of {apart.length} of {real.shape[1]} steps"
    return Details(numbers, facts, f"discriminative score {score.value:.3f}, {between}")


def modes(spec: dict[str, Any], made: np.ndarray) -> dict[str, float]:
    """What of a mixture is generated, of data whose spec knows its modes."""
    if "modes" not in spec:
        return {}
    centres_CF = np.asarray(spec["modes"]["centres"])
    counted = coverage.modes(made, centres_CF, spec["modes"]["sigma"])
    return {
        "modes": float(counted.captured),
        "high_quality": counted.high_quality.value,
        "reverse_kl": counted.reverse_kl.value,
    }


def draw(
    run: Run, found: Found, real: np.ndarray, made: np.ndarray, classes_N: np.ndarray, path: Path
) -> None:
    """Writes pictures/NAME-samples.png: of points and series the real ones too, else a page.

    A page of pictures has a column for each of ten classes that a conditional model was told.
    """
    title = f"{path.name} (generated)"
    if made[0].ndim == 1 and made.shape[1] == 2:
        points_N2 = np.concatenate([real, made])
        names = ["real", "generated"]
        kind_N = np.repeat([0, 1], [len(real), len(made)])
        drawn = pictures.scatter(points_N2, kind_N, title, names)
    elif run.spec["inputs"]["kind"] == "real":
        starts = range(0, min(3 * SHOWN, len(real)), SHOWN)
        rows = [examples[i : i + SHOWN] for i in starts for examples in (real, made)]
        drawn = pictures.gallery(rows, ["real", "generated"] * len(starts), title)
    else:
        told_M = np.resize(classes_N, len(made))
        rank_M = [np.sum(told_M[:i] == told) for i, told in enumerate(told_M)]
        page = made[np.lexsort((told_M, rank_M))[: SHOWN * SHOWN]]
        rows = list(page.reshape(SHOWN, SHOWN, *made.shape[1:]))
        drawn = pictures.gallery(rows, None, title)
    mark = marks.mark(run, found) | {"what": "samples of an evaluation"}
    folder = run_directory.folder(path.parent, "pictures")
    marks.write(folder / f"{path.name}-samples.png", drawn, mark)


def flat(examples: np.ndarray) -> np.ndarray:
    return examples.reshape(len(examples), -1)


def plain(judged: verdict.Verdict) -> dict[str, Any]:
    """A verdict's parts for JSON."""
    return {
        name: part._asdict() if hasattr(part, "_asdict") else part
        for name, part in judged._asdict().items()
    }
