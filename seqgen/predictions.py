"""What a checkpoint says of each example of a split, beside the numbers of its evaluation.

Of classes a picture of which was taken for which; of answers all of them, as lines of text, and
their BLEU and chrF by sacreBLEU. The training loop's validation does without.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import config as configs
from seqgen import decoding, latents, likeness, marks, pictures, recognition, run_directory
from seqgen.datasets import Dataset
from seqgen.details import Details, Predict, Show, every, unseen
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupt
from seqgen.metrics import Meaning, means, texts
from seqgen.metrics import answers as metrics
from seqgen.run import Found, Run


def describer(
    run: Run,
    dataset: Dataset,
    split: str,
    changed: dict[str, Any],
    how: decoding.Options,
    show: Show = unseen,
    classifier: recognition.Classifier | None = None,
) -> Callable[[Found, Any, Interrupt, Path], Details]:
    """(checkpoint, the dataset's arrays, interrupt, path) -> details, for what the objective tells.

    Files are called as the path, with an ending. `changed` are the data options that are not those
    of the run, `how` is how answers are written; `show` is told how far the longer ones are,
    `classifier` is to read what the model makes.
    """
    describe = of_objective(run, dataset, split, changed, how, show)
    if classifier is None:
        return describe
    read = recognition.describer(run, dataset, split, classifier)

    def describe_both(found, arrays, interrupt, path):
        return together(describe(found, arrays, interrupt, path), read(found, arrays, interrupt))

    return describe_both


def together(one: Details, other: Details) -> Details:
    sentence = "; ".join(filter(None, (one.sentence, other.sentence)))
    return Details(one.metrics | other.metrics, one.facts | other.facts, sentence)


def of_objective(
    run: Run,
    dataset: Dataset,
    split: str,
    changed: dict[str, Any],
    how: decoding.Options,
    show: Show,
) -> Callable[[Found, Any, Interrupt, Path], Details]:
    """As `describer`, without a classifier."""
    if hasattr(configs.model(run.config, run.spec), "encode"):
        return latents.describer(run, dataset, split, show)
    if "d_fake" in run.objective.reports:
        return likeness.describer(run, dataset, split)
    if "macro_f1" in run.objective.reports:
        predict = classes(run, dataset, split)

        def describe(found, arrays, interrupt, path):
            pieces = every(predict, found, dataset, split, arrays, interrupt)
            return confusion(run.spec, pieces, path)

    elif "exact_match" in run.objective.reports:
        write = answers(run, dataset, split, how)

        def describe(found, arrays, interrupt, path):
            pieces = list(every(write, found, dataset, split, arrays, interrupt, show))
            details = written(run, found, split, changed, pieces, path)
            return details._replace(metrics=scores_of_tokens(run, pieces) | details.metrics)

    else:

        def describe(found, arrays, interrupt, path):
            return Details({}, {}, "")

    return describe


def reports(run: Run) -> dict[str, Meaning]:
    """What the evaluations of a run may report."""
    own = run.objective.reports | texts.REPORTS | latents.reports(run) | likeness.REPORTS
    return own | recognition.REPORTS


def classes(run: Run, dataset: Dataset, split: str) -> Predict:
    """Compiles once for each shape: the class of each example and what it is taken for."""
    model = configs.model(run.config, run.spec)

    @partial(jax.jit, static_argnums=3)
    def predict(params, arrays, index, shape):
        batch = dataset.batch(arrays, split, index, None, *shape)
        variables = {"params": params["model"]}
        _, logits_BC = model.apply(variables, batch["inputs"], None, batch.get("length_B"))
        kept = {name: batch[name] for name in ("targets", "weight_B")}
        return kept | {"predicted": jnp.argmax(logits_BC, axis=-1)}

    return predict


def confusion(spec: dict[str, Any], pieces: Iterator[dict[str, np.ndarray]], path: Path) -> Details:
    """Draws the counts of each class taken for each, PATH-confusion.png."""
    size = spec["targets"]["size"]
    counts_CC = np.zeros((size, size), np.int64)
    for batch in pieces:
        np.add.at(counts_CC, (batch["targets"], batch["predicted"]), 1)
    names = [str(name) for name in spec["classes"]] if "classes" in spec else map(str, range(size))
    drawn = pictures.confusion(counts_CC, list(names), f"{path.name}: {counts_CC.sum():,} examples")
    run_directory.write_bytes(path.with_name(f"{path.name}-confusion.png"), drawn)
    return Details({}, {"confusion": counts_CC.tolist()}, "")


def answers(run: Run, dataset: Dataset, split: str, how: decoding.Options) -> Predict:
    """Compiles once for each shape: the answer to each example, the best that was found."""
    spec, longest = run.spec, run.spec["targets"]["length"]
    options = dataclasses.replace(how, length=longest)

    @partial(jax.jit, static_argnums=3)
    def predict(params, arrays, index, shape):
        batch = dataset.batch(arrays, split, index, None, *shape)
        inputs = {name: batch[name] for name in ("inputs", "length_B") if name in batch}
        keys_B = jax.random.split(jax.random.key(0), len(batch["weight_B"]))  # of no effect
        tokens_BT = run.objective.generate(params, {}, keys_B, inputs, options)
        if how.beam is not None:
            tokens_BT = tokens_BT[0][:, 0]
        measured = metrics.measured(tokens_BT, metrics.padded(batch["targets"], longest), spec)
        kept = {name: batch[name] for name in ("index_B", "weight_B")}
        return kept | {"tokens": tokens_BT, "measured": measured}

    return predict


def scores_of_tokens(run: Run, pieces: list[dict[str, Any]]) -> dict[str, float]:
    """What the validation also reports of answers, of those that were written here."""
    found = means([piece["measured"] for piece in pieces])
    return metrics.finalize(found, metrics.references(run.spec))


def written(
    run: Run,
    found: Found,
    split: str,
    changed: dict[str, Any],
    pieces: list[dict[str, Any]],
    path: Path,
) -> Details:
    """Writes the answers, a line each in the order of the data, answers/PATH.txt, and scores them.

    They are scored where the dataset is natural language, and has `references` to say so.
    """
    data = configs.part("dataset", run.config.dataset.name)
    lines = {}
    for batch in pieces:
        decoded = (data.decode(run.spec, row) for row in batch["tokens"])
        lines |= dict(zip(batch["index_B"].tolist(), decoded, strict=True))
    lines = [lines[number] for number in sorted(lines)]
    content = "".join(f"{line}\n" for line in lines).encode()
    mark = marks.mark(run, found) | {"what": f"answers to split {split}"}
    marks.write(run_directory.folder(path.parent, "answers") / f"{path.name}.txt", content, mark)
    if not hasattr(data, "references") or split == "train":  # which leaves out the long ones
        return Details({}, {}, "")
    own = {name.removeprefix("dataset."): value for name, value in changed.items()}
    options = dataclasses.replace(configs.options(run.config, "dataset"), **own)
    try:
        scores = scored(data, run.spec, lines, data.references(options, split))
    except UsageError as error:
        return Details({}, {}, f"without sacreBLEU's numbers: {error}")
    return Details(
        {name: score for name, (score, _) in scores.items()},
        {"signatures": {name: signature for name, (_, signature) in scores.items()}},
        "",
    )


def scored(
    data: Any, spec: dict[str, Any], lines: list[str], references: list[tuple[str, ...]]
) -> dict[str, tuple[float, str]]:
    """name of `texts.REPORTS` -> (score, signature)."""
    lowercase = spec["lowercase"]
    natural = [data.natural(spec, line) for line in lines]
    scores = {
        "sacrebleu": texts.bleu(natural, references, lowercase=lowercase),
        "chrf": texts.chrf(natural, references, lowercase=lowercase),
    }
    if spec["unit"] != "word":
        return scores
    split = [tuple(data.units(spec, r) for r in own) for own in references]
    tokenised = texts.bleu(lines, split, lowercase=lowercase, tokenised=True)
    return scores | {"sacrebleu_tokenised": tokenised}
