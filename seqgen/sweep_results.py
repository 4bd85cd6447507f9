"""What the runs of a sweep came to, read from their directories: by trial, by setting, by field.

A setting is what a trial's fields are but for its seed. A statistic is over the seeds of trials
that are done, with the interval of `metrics.intervals.over_runs`.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqgen import config as configs
from seqgen import predictions, run_directory, run_state, trials
from seqgen import run as runs
from seqgen.errors import UsageError
from seqgen.metrics import Meaning
from seqgen.metrics.intervals import Estimate, over_runs
from seqgen.run_state import State
from seqgen.saved_steps import SavedSteps

SEED = "seed"
Setting = tuple[tuple[str, str], ...]  # (field, its value as text), the seed left out


class Trial(NamedTuple):
    """One run of the sweep, as far as it has come."""

    workdir: Path
    chosen: dict[str, Any]  # the fields that the sweep sets
    state: State
    step: int
    message: str  # of a damaged run what is wrong with it
    records: list[dict[str, Any]]  # of its metrics
    best: float  # of the watched number in validation; NaN where none was finite
    best_step: int | None
    split: str  # that the best checkpoint was evaluated on in the end
    measured: dict[str, float]  # and what was measured

    @property
    def setting(self) -> Setting:
        return tuple((n, str(value)) for n, value in self.chosen.items() if n != SEED)

    @property
    def counts(self) -> bool:
        return self.state is State.DONE and math.isfinite(self.best)


class Results(NamedTuple):
    """A sweep."""

    definition: str  # its experiment, its grid or its file
    watched: str  # the number that the best trial has the best of
    meanings: dict[str, Meaning]
    trials: list[Trial]

    @property
    def larger_is_better(self) -> bool:
        return self.meanings[self.watched].larger_is_better

    @property
    def fields(self) -> list[str]:
        """Those that differ between trials, the seed left out."""
        every = dict.fromkeys(name for trial in self.trials for name in trial.chosen)
        return [n for n in every if n != SEED and len(values(self.trials, n)) > 1]


class Summary(NamedTuple):
    """What the trials of a setting came to."""

    label: str
    trials: list[Trial]  # that count
    of: int  # trials in all, also those that are not done
    watched: Estimate


def load(workdir: Path) -> Results:
    """Of a sweep, or of the runs that were trained with several seeds.

    Raises UsageError for a damaged record of the sweep; a damaged run is a trial in that state.
    """
    definition, chosen = defined(workdir)
    looks = dict(zip(chosen, run_state.look_at(chosen), strict=True))
    watched, meanings, monitors = None, {}, {}
    seen, found = set(), {}
    for run, (state, wrong) in looks.items():
        if state is State.DAMAGED:
            found[run] = without_records(run, chosen[run], state, wrong)
            continue
        if not all((run / f"{name}.json").exists() for name in ("spec", "environment")):
            continue  # not begun
        try:
            stored = run_directory.read_json(run / "config.json", configs.PARTS)
            config = configs.from_json(stored)
            kind = (config.monitor, *(config[part].name for part in configs.PARTS))
            if kind not in seen:  # such trials report the same numbers, as far as they are compared
                meanings = predictions.reports(runs.load(run)) | meanings
                seen.add(kind)
        except UsageError as error:
            found[run] = without_records(run, chosen[run], State.DAMAGED, str(error))
            continue
        monitors[run] = config.monitor
        watched = watched or config.monitor or "loss"
    meanings = {"loss": Meaning("", larger_is_better=False)} | meanings  # where no run says it
    for run, (state, _) in looks.items():
        if run not in found:
            found[run] = trial(
                run, chosen[run], state, watched or "loss", monitors.get(run), meanings
            )
    return Results(definition, watched or "loss", meanings, [found[run] for run in chosen])


def defined(workdir: Path) -> tuple[str, dict[Path, dict[str, Any]]]:
    """(what the runs are of, run directory -> what is chosen in it)."""
    is_sweep = (workdir / "sweep.json").exists()  # whose directory may hold other runs besides
    if not is_sweep and (of_seeds := trials.seeds(workdir)):
        return f"{len(of_seeds)} seeds", {run: {SEED: n} for n, run in of_seeds.items()}
    stored = run_directory.read_json(workdir / "sweep.json", ("experiment", "trials"))
    found = trials.listed(stored, workdir / "sweep.json")
    named = [stored[name] for name in ("experiment", "grid", "file") if stored.get(name)]
    if stored.get("earlier"):
        named.append(f"and {stored['earlier']} earlier")
    return ", ".join(named), {workdir / one["run"]: one["chosen"] for one in found}


def without_records(workdir: Path, chosen: dict[str, Any], state: State, message: str) -> Trial:
    return Trial(workdir, chosen, state, 0, message, [], math.nan, None, "", {})


def trial(
    workdir: Path,
    chosen: dict[str, Any],
    state: State,
    watched: str,
    monitor: str | None,
    meanings: dict[str, Meaning],
) -> Trial:
    """monitor: what chooses its best checkpoint; None: that is the latest."""
    try:
        status = run_state.status(workdir)
        if status is None:
            return without_records(workdir, chosen, state, "")
        saved = SavedSteps(workdir / "checkpoints").marked_best()  # its record is written before it
        begun = (workdir / "metrics.jsonl").exists()
        records = run_directory.read_metrics(workdir) if begun else []
        chosen_by = watched if monitor is None else monitor
        best = best_record(records, chosen_by, monitor, meanings, saved)
        return Trial(
            workdir,
            chosen,
            state,
            status.get("step", 0),
            status.get("message") or "",
            records,
            float(best.get(watched, math.nan)),
            best.get("step"),
            *measured(workdir, best.get("step")),
        )
    except UsageError as error:
        return without_records(workdir, chosen, State.DAMAGED, str(error))


def best_record(
    records: list[dict[str, Any]],
    name: str,
    monitor: str | None,
    meanings: dict[str, Meaning],
    saved: int | None,
) -> dict[str, Any]:
    """The validation of the best checkpoint; empty where the number was never finite.

    That is the one of the step that was saved as the best. It need not have the best number: a look
    may have ended the run there, and a validation at the end of a run that was lengthened later
    chooses nothing. Without such a step it is the one that has.
    """
    of_saved = [r for r in records if r["split"] == "valid" and r["step"] == saved]
    if of_saved:
        return of_saved[-1]
    seen = [r for r in records if r["split"] == "valid" and math.isfinite(r.get(name, math.nan))]
    if not seen:
        return {}
    if monitor is None:
        return seen[-1]
    sign = -1 if meanings[monitor].larger_is_better else 1
    return min(seen, key=lambda record: sign * record[name])  # the first of equal ones


def measured(workdir: Path, step: int | None) -> tuple[str, dict[str, float]]:
    """(split, numbers) of the evaluation of a step with which training ended."""
    for split in ("test", "valid"):
        file = workdir / "evaluations" / f"{split}-{step}.json"
        if file.exists():
            stored = run_directory.read_json(file, ("metrics",))["metrics"]
            return split, {n: float(v) for n, v in stored.items() if v is not None}
    return "", {}


def settings(results: Results) -> list[Summary]:
    """Every setting, that of the best mean first."""
    grouped: dict[Setting, list[Trial]] = {}
    for one in results.trials:
        grouped.setdefault(one.setting, []).append(one)
    fields = results.fields
    found = [summary(called(key, fields), own) for key, own in grouped.items()]
    return sorted(found, key=lambda one: rank(results, one.watched.value))


def called(setting: Iterable[tuple[str, str]], fields: list[str]) -> str:
    """A setting by what it differs in."""
    short = short_names(fields)
    return ", ".join(f"{short[n]}={v}" for n, v in setting if n in short) or "all alike"


def trial_label(results: Results, trial: Trial) -> str:
    """A trial by its setting and its seed."""
    words = called(trial.setting, results.fields)
    seed = trial.chosen.get(SEED)
    return words if seed is None else f"{words}, seed {seed}"


def short_names(fields: Sequence[str]) -> dict[str, str]:
    """Fields -> their last names, where those are enough."""
    last = [name.rpartition(".")[2] for name in fields]
    return {n: word if last.count(word) == 1 else n for n, word in zip(fields, last, strict=True)}


def summary(label: str, trials: list[Trial]) -> Summary:
    counted = [one for one in trials if one.counts]
    return Summary(label, counted, len(trials), over([one.best for one in counted]))


def over(numbers: list[float]) -> Estimate:
    return over_runs(numbers) if numbers else Estimate(math.nan, math.nan, math.nan)


def rank(results: Results, value: float) -> float:
    """Sorts the best first and what is not finite last."""
    if not math.isfinite(value):
        return math.inf
    return -value if results.larger_is_better else value


def best_first(results: Results) -> list[Trial]:
    """The trials that are done, then the others; of each the best first."""
    return sorted(results.trials, key=lambda t: (t.state is not State.DONE, rank(results, t.best)))


def done(results: Results) -> list[Trial]:
    return [one for one in results.trials if one.counts]


def values(trials: list[Trial], field: str) -> list[Any]:
    """The values of a field, numbers in their order."""
    found = {str(one.chosen.get(field)): one.chosen.get(field) for one in trials}
    plain = [v for v in found.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    return sorted(plain) if len(plain) == len(found) else list(found.values())
