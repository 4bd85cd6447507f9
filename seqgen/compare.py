"""Two runs on the same examples: by how much one is better, and whether that could be chance."""

from pathlib import Path

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from seqgen import backend, decoding, predictions, run_directory
from seqgen import config as configs
from seqgen import run as runs
from seqgen.datasets import Dataset
from seqgen.details import every
from seqgen.errors import UsageError, unknown
from seqgen.evaluate import GREEDY, refuse_search, unlike_greedy
from seqgen.evaluator import Evaluator
from seqgen.interrupt import Interrupt
from seqgen.metrics import bootstrap
from seqgen.run import Found, Run


def rows(
    run: Run,
    found: Found,
    dataset: Dataset,
    split: str,
    how: decoding.Options,
    interrupt: Interrupt,
) -> bootstrap.Rows:
    """What the run's objective measures of each example of the split, answers written like that."""
    mesh = backend.mesh(jax.devices())
    everywhere = NamedSharding(mesh, P())
    evaluator = Evaluator(run.objective, dataset, split, mesh)
    arrays, params = (jax.device_put(x, everywhere) for x in (dataset.arrays, found.params))
    pieces = evaluator.rows(params, arrays, interrupt)
    together = {
        name: np.concatenate([np.stack(piece[name], axis=1) for piece in pieces])
        for name in pieces[0]
    }
    # rows that only fill up the last batch weigh nothing, and must not be drawn
    real_N = np.any([rows_N2[:, 1] > 0 for rows_N2 in together.values()], axis=0)
    real = {name: rows_N2[real_N] for name, rows_N2 in together.items()}
    if how == GREEDY:  # as the objective writes them
        return real
    write = predictions.answers(run, dataset, split, how)
    placed = found._replace(params=params)
    searched = [
        {name: np.stack(value, axis=1) for name, value in piece["measured"].items()}
        for piece in every(write, placed, dataset, split, arrays, interrupt)
    ]
    return real | {n: np.concatenate([piece[n] for piece in searched]) for n in searched[0]}


def compare(
    first: Run,
    second: Run,
    which: str,
    split: str,
    interrupt: Interrupt,
    how: decoding.Options = GREEDY,
) -> dict[str, bootstrap.Difference]:
    """The differences in every reported number, the first run's minus the second's.

    Raises UsageError if the runs are of different data, or if those have changed.
    """
    dataset = configs.part("dataset", first.config.dataset.name).make(
        configs.options(first.config, "dataset")
    )
    for run in (first, second):
        if run.fingerprint != dataset.fingerprint:
            raise UsageError(
                f"the data of {run.workdir} are not those that {first.workdir} names now: "
                f"fingerprint {run.fingerprint[:12]}, is {dataset.fingerprint[:12]}"
            )
    if split not in dataset.num_batches:
        raise unknown("split", split, dataset.num_batches)
    refuse_search(first, how)
    refuse_other_kinds(first, second)
    measured = [
        rows(run, runs.parameters(run, which), dataset, split, how, interrupt)
        for run in (first, second)
    ]
    if measured[0].keys() != measured[1].keys():
        raise UsageError(
            f"{first.workdir} and {second.workdir} are not measured by the same numbers"
        )
    return bootstrap.paired(*measured, first.objective.finalize)


def refuse_other_kinds(first: Run, second: Run) -> None:
    """Raises UsageError for likelihoods of other things: densities, levels, bits, greys as if bits.

    They share a name, as each is the one that its run can have.
    """
    for part, field in (("model", "likelihood"), ("objective", "binarization")):
        kinds = [run.config[part].get(field) for run in (first, second)]
        if kinds[0] != kinds[1]:
            raise UsageError(
                f"{first.workdir} has {part}.{field}={kinds[0]} and {second.workdir} {kinds[1]}: "
                "their likelihoods are of unlike things, which can't be compared"
            )


def file_name(split: str, second: Path, how: decoding.Options) -> str:
    """What a comparison is stored as: runs may share a name, but not their path."""
    path, unusual = second.resolve(), unlike_greedy(how)
    mark = f"-{run_directory.digest(unusual)[:6]}" if unusual else ""
    return f"{split}-{path.name}-{run_directory.digest(str(path))[:6]}{mark}.json"


def main(
    first: Path,
    second: Path,
    which: str,
    split: str,
    how: decoding.Options,
    *,
    compilation_cache: bool,
) -> None:
    """The verb: compares, prints, and stores what it prints in the first run's comparisons/."""
    one, other = runs.load(first), runs.load(second)
    backend.start(one.config.dataset.batch_size, compilation_cache=compilation_cache)
    with Interrupt() as interrupt:
        differences = compare(one, other, which, split, interrupt, how)
    folder = run_directory.folder(first, "comparisons")
    stored = {"with": str(second), "split": split, "checkpoint": which, "level": bootstrap.LEVEL}
    stored |= {"differences": {name: d._asdict() for name, d in differences.items()}}
    stored["decoding"] = unlike_greedy(how)
    run_directory.write_json(folder / file_name(split, second, how), stored)
    print(f"{split}: {first} minus {second}, and the interval of {bootstrap.LEVEL:.0%}")
    for name, meaning in one.objective.reports.items():
        if name in differences:
            value, low, high = differences[name]
            sentence = f"{name} {value:+.4f} ({low:+.4f} to {high:+.4f}) {meaning.unit}".rstrip()
            print(f"{sentence}, {'larger' if meaning.larger_is_better else 'smaller'} is better")
