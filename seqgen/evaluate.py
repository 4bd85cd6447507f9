"""The verb `evaluate`: a checkpoint of a run on a split, and every checkpoint as it appears."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import config_dict

from seqgen import backend, decoding, predictions, recognition, run_directory, run_lock
from seqgen import config as configs
from seqgen import run as runs
from seqgen.checkpoint import Checkpoints
from seqgen.datasets import Dataset
from seqgen.details import Show, unseen
from seqgen.errors import UsageError, unknown
from seqgen.evaluator import Evaluator, Measure
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.metrics import Meaning, described
from seqgen.progress import Progress
from seqgen.run import Found, Run, parameters

POLL_SECONDS = 2.0
GREEDY = decoding.Options(temperature=0.0)


def unlike_greedy(how: decoding.Options) -> dict[str, Any]:
    return {n: v for n, v in dataclasses.asdict(how).items() if v != getattr(GREEDY, n)}


def refuse_search(run: Run, how: decoding.Options) -> None:
    """Raises UsageError for options that are wrong, or of no use since the run has no answers."""
    longest = run.spec["targets"].get("length")  # of answers alone
    if problems := list(dataclasses.replace(how, length=longest).problems()):
        raise UsageError("; ".join(problems))
    if (unusual := unlike_greedy(how)) and not runs.writes_answers(run.objective):
        raise UsageError(f"{', '.join(unusual)} is for answers: {run.workdir} writes none")


def checkpoint_evaluator(
    run: Run,
    dataset: Dataset,
    split: str,
    changed: dict[str, Any] | None = None,
    how: decoding.Options = GREEDY,
    show: Show = unseen,
    classifier: recognition.Classifier | None = None,
    measure: Measure | None = None,
) -> Callable[[Found, Interrupt], dict[str, Any]]:
    """Compiles once; returns (checkpoint, interrupt) -> what it writes to evaluations/.

    `changed` names the data options that are not those of the run, `how` is how answers are
    written, `classifier` reads what the model makes; where any of them is unusual the file has a
    name of its own. `show` is told how far it is. `measure` is the split's evaluator, where there
    is one already.

    Raises UsageError if the data are not those of the run, or lack the split, and for a search
    where there are no answers.
    """
    if split not in dataset.num_batches:
        raise unknown("split", split, dataset.num_batches)
    runs.refuse_other_data(run, dataset.fingerprint)
    mesh = backend.mesh(jax.local_devices())
    everywhere = NamedSharding(mesh, P())
    measure = measure or Evaluator(run.objective, dataset, split, mesh)
    arrays = jax.device_put(dataset.arrays, everywhere)
    refuse_search(run, how)
    asked = (changed or {}) | unlike_greedy(how)
    if classifier is not None:
        asked |= {"features": classifier.facts["classifier"]}
    mark = f"-{run_directory.digest(asked)[:6]}" if asked else ""
    describe = predictions.describer(run, dataset, split, changed or {}, how, show, classifier)

    def evaluate(found: Found, interrupt: Interrupt) -> dict[str, Any]:
        began = time.monotonic()
        params, memory = jax.device_put((found.params, found.memory), everywhere)
        found = found._replace(params=params, memory=memory)
        metrics = measure(found.params, arrays, interrupt)
        folder = run_directory.folder(run.workdir, "evaluations")
        place = folder / f"{split}-{found.step}{mark}"
        details = describe(found, arrays, interrupt, place)
        metrics |= details.metrics
        result = {
            "split": split,
            "step": found.step,
            "checkpoint_sha256": found.digest,
            "fingerprint": dataset.fingerprint,
            "changed": asked,
            "metrics": metrics,
            "seconds": round(time.monotonic() - began, 2),
            **details.facts,
        }
        stored = result | {"metrics": run_directory.spelled(metrics)}
        run_directory.write_json(folder / f"{place.name}.json", stored)
        return result | {"sentence": details.sentence}

    return evaluate


def watch(
    run: Run, evaluate: Callable[[Found, Interrupt], dict[str, Any]], interrupt: Interrupt
) -> Iterator[dict[str, Any]]:
    """Evaluates every new checkpoint as it appears, until the run has ended and none is left.

    A run has ended when no process holds it: done, failed, stopped by a signal (whoever restarts it
    may watch again) or killed so hard that its status still says RUNNING. A step that the run has
    deleted by the time it is read is passed over.
    """
    done = set()
    while True:
        ended = not run_lock.is_held(run.workdir)  # asked first: then the steps are the last
        for step in [step for step in saved_steps(run) if step not in done]:
            done.add(step)
            try:
                found = parameters(run, step)
            except UsageError:
                if step in saved_steps(run):
                    raise
                continue
            yield evaluate(found, interrupt)
        if ended:
            return
        time.sleep(POLL_SECONDS)
        if interrupt.requested:
            raise Interrupted(interrupt.requested)


def saved_steps(run: Run) -> list[int]:
    with Checkpoints(run.workdir, writer=False) as checkpoints:
        return checkpoints.steps()


def main(
    workdir: Path,
    which: str,
    split: str,
    config: config_dict.ConfigDict,
    how: decoding.Options,
    features: Path | None,
    *,
    watching: bool,
    compilation_cache: bool,
) -> None:
    """The verb: evaluates and prints. `config` is the run's, but for options of its dataset.

    `features` is the directory of a run that classifies, to read what this one makes.
    """
    run = runs.load(workdir)
    changed = {name: new for name, (_, new) in configs.differences(run.config, config).items()}
    if other := [name for name in changed if not name.startswith("dataset.")]:
        raise UsageError(f"evaluate can change options of the dataset only, not {', '.join(other)}")
    backend.start(config.dataset.batch_size, compilation_cache=compilation_cache)
    options = configs.options(config, "dataset")
    dataset = configs.part("dataset", config.dataset.name).make(options)
    classifier = None if features is None else recognition.load(features, run)
    with Interrupt() as interrupt, Progress(Path(os.devnull)) as progress:
        evaluate = checkpoint_evaluator(
            run, dataset, split, changed, how, progress.show, classifier
        )
        if watching:
            results = watch(run, evaluate, interrupt)
        else:
            results = [evaluate(parameters(run, which), interrupt)]
        for result in results:
            progress.say(line(result, predictions.reports(run)))


def line(result: dict[str, Any], reports: dict[str, Meaning]) -> str:
    """An evaluation as one line for a person."""
    numbers = described(result["metrics"], reports)
    left_out = f" ({result['sentence']})" if result["sentence"] else ""
    return f"step {result['step']}  {result['split']}: {numbers}{left_out}"
