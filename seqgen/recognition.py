"""Whether generated examples are what was asked for, in the eyes of a classifier of another run.

`evaluate --features=RUN` reads what the model makes by that run's classifier: how often it sees the
class that was asked for, and how far real and generated examples are apart in its features.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from seqgen import config as configs
from seqgen import decoding
from seqgen import run as runs
from seqgen.datasets import Dataset
from seqgen.details import Details
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt
from seqgen.likeness import BLOCK, SAMPLES, examples, flat, generated
from seqgen.metrics import Meaning, frechet, intervals
from seqgen.run import Found, Run

REPORTS = {
    "recognised": Meaning("", larger_is_better=True),  # generated examples seen as the class asked
    "recognised_real": Meaning("", larger_is_better=True),  # the same of held-out data
}


class Classifier(NamedTuple):
    """A run's classifier, for examples of another run."""

    name: str  # of the run's directory
    facts: dict[str, Any]
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # -> (features [N, F], class [N])


class Recognised(NamedTuple):
    """What a classifier says of M generated examples beside N real ones."""

    of_generated: intervals.Estimate | None  # None where no class was asked for
    of_real: intervals.Estimate
    distance: frechet.Frechet | None  # in the classifier's features, where these are not too many
    in_pixels: frechet.Frechet | None  # of pictures, likewise


def load(workdir: Path, run: Run) -> Classifier:
    """The classifier in a run's directory. Raises UsageError where it can't read the other's data.

    Its features are what its output layer reads.
    """
    if run.objective.generate is None or run.spec["targets"]["per"] != "sequence":
        raise UsageError(f"--features reads generated examples, and {run.workdir} makes none")
    other = runs.load(workdir)
    if "macro_f1" not in other.objective.reports:
        raise UsageError(f"--features must name a run that classifies; {workdir} does not")
    prepare = arranged(run, other)
    found, model = runs.parameters(other, "best"), configs.model(other.config, other.spec)

    @jax.jit
    def classify(params, x):
        (_, logits_NC), kept = model.apply(
            {"params": params["model"]}, prepare(x), mutable=["intermediates"]
        )
        return kept["intermediates"]["features"][0], logits_NC.argmax(axis=-1)

    def read(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pieces = [classify(found.params, x[i : i + BLOCK]) for i in range(0, len(x), BLOCK)]
        features_NF, class_N = (np.concatenate(part) for part in zip(*pieces, strict=True))
        return features_NF, class_N

    facts = {"classifier": str(workdir), "step": found.step, "checkpoint_sha256": found.digest}
    return Classifier(workdir.resolve().name, facts, read)


def arranged(run: Run, other: Run) -> Callable[[Any], Any]:
    """From examples of a run to inputs of the other. Raises UsageError where there is no way."""
    ours, theirs = run.spec, other.spec
    if ours["dataset"] != theirs["dataset"]:
        raise UsageError(
            f"--features names a classifier of {theirs['dataset']}, but {run.workdir} makes "
            f"examples of {ours['dataset']}"
        )
    if ours.get("classes") != theirs.get("classes") or ours["targets"] != theirs["targets"]:
        raise UsageError(
            f"the classes of {other.workdir} are not those of {run.workdir}: "
            f"{theirs.get('classes')} and {ours.get('classes')}"
        )
    if (ours["inputs"], ours.get("length")) == (theirs["inputs"], theirs.get("length")):
        return lambda x: x
    data = configs.part("dataset", ours["dataset"])
    if ours["inputs"]["kind"] != "image" or not hasattr(data, "arranged"):
        raise UsageError(f"{other.workdir} reads {ours['dataset']} in another form than it is made")
    return partial(data.arranged, configs.options(other.config, "dataset"))


def describer(
    run: Run, dataset: Dataset, split: str, classifier: Classifier
) -> Callable[[Found, Any, Interrupt], Details]:
    """(checkpoint, the dataset's arrays, interrupt) -> details."""
    generate = jax.jit(partial(run.objective.generate, options=decoding.Options()))
    conditional = getattr(run.config.model, "conditional", False)

    def describe(found: Found, arrays: Any, interrupt: Interrupt) -> Details:
        real, class_N = examples(found, dataset, split, SAMPLES, arrays, interrupt)
        made, asked_M = generated(generate, found, class_N)
        seen = recognised(classifier, real, class_N, made, asked_M if conditional else None)
        numbers = {"recognised_real": seen.of_real.value}
        if seen.of_generated is not None:
            numbers["recognised"] = seen.of_generated.value
        apart = {d.name: d.distance.value for d in (seen.in_pixels, seen.distance) if d is not None}
        sentence = "; ".join(f"{name}: {value:.4g}" for name, value in apart.items())
        parts = {n: part and part._asdict() for n, part in seen._asdict().items()}
        return Details(numbers | apart, {"features": classifier.facts | parts}, sentence)

    return describe


def recognised(
    classifier: Classifier,
    real: np.ndarray,
    class_N: np.ndarray,
    made: np.ndarray,
    asked_M: np.ndarray | None,
) -> Recognised:
    """asked_M: the classes that the generated examples should have, if any were asked for."""
    real_NF, seen_N = classifier.read(real)
    made_MF, seen_M = classifier.read(made)

    def distance(real_NF, made_MF, name):
        if real_NF.shape[1] > frechet.WIDEST:
            return None
        n = min(len(real), len(made))  # the distance depends on how many there are of either
        return frechet.distance(real_NF[:n], made_MF[:n], name)

    in_pixels = distance(flat(real), flat(made), "pixels") if real[0].ndim == 3 else None
    return Recognised(
        None if asked_M is None else hits(seen_M, asked_M),
        hits(seen_N, class_N),
        distance(real_NF, made_MF, classifier.name),
        in_pixels,
    )


def hits(seen_N: np.ndarray, asked_N: np.ndarray) -> intervals.Estimate:
    return intervals.share(int(np.sum(seen_N == asked_N)), len(asked_N))
