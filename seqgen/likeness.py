"""How like the data what a generator makes is: what an evaluation of an adversarial run says.

Told apart or not, collapsed or copied (`metrics/verdict.py`); how many modes of a known mixture;
and pictures of real and generated examples.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import decoding, marks, pictures, run_directory
from seqgen.datasets import Dataset
from seqgen.details import Details, every
from seqgen.interrupt import Interrupt
from seqgen.metrics import Meaning, coverage, verdict
from seqgen.run import Found, Run

SAMPLES = 2500  # generated, as in the published tables of modes
BLOCK = 500  # generated at once

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
}


def describer(
    run: Run, dataset: Dataset, split: str
) -> Callable[[Found, Any, Interrupt, Path], Details]:
    """(checkpoint, the dataset's arrays, interrupt, path) -> details; draws beside the path."""
    generate = jax.jit(partial(run.objective.generate, options=decoding.Options()))

    def describe(found: Found, arrays: Any, interrupt: Interrupt, path: Path) -> Details:
        real, classes_N = examples(found, dataset, split, arrays, interrupt)
        train, _ = examples(found, dataset, "train", arrays, interrupt)
        made = generated(generate, found, classes_N)
        draw(run, found, real, made, path)
        found_modes = modes(run.spec, made)
        judged = verdict.judged(flat(train), flat(real), flat(made), look=1)
        near = judged.neighbours
        numbers = found_modes | {
            "classifier_accuracy": judged.classifier.accuracy.value,
            "mmd2": judged.kernel.mmd2.value,
            **{name: getattr(near, name).value for name in near._fields[:4]},
        }
        facts = {"verdict": judged.word, "judged": plain(judged), "generated": len(made)}
        return Details(numbers, facts, judged.sentence)

    return describe


def examples(
    found: Found, dataset: Dataset, split: str, arrays: Any, interrupt: Interrupt
) -> tuple[np.ndarray, np.ndarray]:
    """The first `SAMPLES` examples of a split, and their classes."""

    @partial(jax.jit, static_argnums=3)
    def look(params, arrays, index, shape):
        del params
        batch = dataset.batch(arrays, split, index, None, *shape)
        return {name: batch[name] for name in ("inputs", "targets", "weight_B")}

    pieces, count = [], 0
    for piece in every(look, found, dataset, split, arrays, interrupt):
        pieces.append(piece)
        count += len(piece["inputs"])
        if count >= SAMPLES:
            break
    inputs, targets = (np.concatenate([p[n] for p in pieces]) for n in ("inputs", "targets"))
    return inputs[:SAMPLES], targets[:SAMPLES]


def generated(generate: Callable[..., jax.Array], found: Found, classes_N) -> np.ndarray:
    """`SAMPLES` new examples; of a conditional model with the classes of the real ones in turn."""
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
    return np.concatenate([np.asarray(piece) for piece in pieces])


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


def draw(run: Run, found: Found, real: np.ndarray, made: np.ndarray, path: Path) -> None:
    """Writes pictures/NAME-samples.png: of points the real ones too, else a page of samples."""
    title = f"{path.name} (generated)"
    if made[0].ndim == 1 and made.shape[1] == 2:
        points_N2 = np.concatenate([real, made])
        names = ["real", "generated"]
        kind_N = np.repeat([0, 1], [len(real), len(made)])
        drawn = pictures.scatter(points_N2, kind_N, title, names)
    else:
        drawn = pictures.gallery(list(made[:100].reshape(10, 10, *made.shape[1:])), None, title)
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
