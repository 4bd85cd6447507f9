"""A sweep on one page: report.html, and its tables as report.md, of its runs' records alone."""

import html
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqgen import (
    curves,
    ledger,
    page,
    standings,
    sweep_effects,
    sweep_pictures,
    sweep_results,
)
from seqgen.metrics.intervals import Estimate
from seqgen.run_state import State
from seqgen.sweep_results import Results, Summary, Trial

BEST = 10  # trials in report.md
LINES = 12  # of a failed trial's log


def write(workdir: Path) -> Path:
    """Writes report.md and report.html of a sweep, as far as it is; returns the page's path."""
    results = sweep_results.load(workdir)
    ranked = sweep_results.settings(results)
    title, said = f"{workdir.resolve().name}: a sweep", sentence(results)
    setting_table, trial_table = setting_rows(results, ranked), trial_rows(results, workdir)
    effects, unknown = effect_rows(results), left_out(results)
    failed = [t for t in results.trials if t.state in (State.FAILED, State.KILLED)]
    damaged = [t for t in results.trials if t.state is State.DAMAGED]
    sections = [
        page.paragraph(said),
        page.section("Settings, the best first", sorted_table(*setting_table)),
        page.section("Main effects", main_effects(results, *effects)),
        page.section("Curves", sweep_pictures.learning(results, ranked)),
        page.section("Trials, the best first", sorted_table(*trial_table)),
        page.section("Failed trials", *(last_lines(results, one, workdir) for one in failed)),
        page.section("Damaged runs", *(last_lines(results, one, workdir) for one in damaged)),
    ]
    header, rows = trial_table
    told = [
        f"# {title}\n\n{said}\n",
        page.markdown(*setting_table),
        page.markdown(*effects) if effects[1] else "",
        f"{unknown}\n" if unknown else "",
        f"The best {min(BEST, len(rows))} trials of {len(rows)}:\n\n",
        page.markdown(header, rows[:BEST]),
    ]
    (workdir / "report.md").write_text("\n".join(filter(None, told)), encoding="utf-8")
    file = workdir / "report.html"
    file.write_text(page.whole(title, sections), encoding="utf-8")
    return file


def sentence(results: Results) -> str:
    """What was swept, and by which number trials are compared."""
    better = "larger" if results.larger_is_better else "smaller"
    stand = standings.counted(trial.state for trial in results.trials)
    return (
        f"{results.definition}. {len(results.trials)} trials: {stand}. "
        f"Trials are compared by the {watched(results)} in validation of the checkpoint that each "
        f"is known by ({better} is better): the best by its config's monitor, the latest where it "
        "has none. Intervals are over seeds, of trials that are done."
    )


def watched(results: Results) -> str:
    return curves.labelled(results.watched, results.meanings)


def sorted_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    return page.table(header, rows, "numbers", sortable=True) if rows else ""


def measured(results: Results) -> tuple[str, list[str]]:
    """(split, the numbers) of the evaluations at the end of training: of one split alone."""
    there = {trial.split for trial in results.trials}
    split = next((name for name in ("test", "valid") if name in there), "")
    found = {name for trial in results.trials for name in of_split(trial, split)}
    return split, [name for name in results.meanings if name in found]


def of_split(trial: Trial, split: str) -> dict[str, float]:
    """What was measured of a trial, nothing where that was of another split."""
    return trial.measured if trial.split == split else {}


def setting_rows(
    results: Results, ranked: list[Summary]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """A row for each setting: its mean over seeds ± what its interval reaches to either side."""
    split, numbers = measured(results)
    names = [curves.labelled(name, results.meanings) for name in numbers]
    header = ("setting", "trials", f"valid {watched(results)}", "±", *paired(split, names))
    rows = []
    for one in ranked:
        found = [of_split(trial, split) for trial in one.trials]
        means = [sweep_results.over([m[name] for m in found if name in m]) for name in numbers]
        cells = [cell for mean in (one.watched, *means) for cell in estimate(mean)]
        rows.append((one.label, of(one), *cells))
    return header, rows


def paired(split: str, names: list[str]) -> list[str]:
    return [word for name in names for word in (f"{split} {name}", "±")]


def of(one: Summary) -> page.Cell:
    done = len(one.trials)
    return page.Cell(str(done) if done == one.of else f"{done} of {one.of}", done)


def estimate(mean: Estimate) -> tuple[page.Cell, page.Cell]:
    """Of one seed there is a mean and no interval; of none there is neither."""
    finite = [None if not math.isfinite(x) else x for x in (mean.value, mean.high - mean.value)]
    return page.number(finite[0]), page.number(finite[1], 2)


def effect_rows(results: Results) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """A row for each value of each field that can be compared, all else the same."""
    rows = []
    for field in results.fields:
        found = sweep_effects.effect(results, field)
        rows += [
            (field, value, page.number(found.means[value]), *estimate(away), found.compared)
            for value, away in found.deviations.items()
        ]
    number = f"valid {watched(results)}"
    return ("field", "value", number, "main effect", "±", "settings compared"), rows


def main_effects(results: Results, header: Sequence[str], rows: list[tuple[Any, ...]]) -> str:
    """The table, and a picture of all trials over each field."""
    words = (
        "Of each value the mean over the settings of the other fields that are done with every "
        "value of this one. The main effect is how far that is from the mean of all values, its "
        "interval over seeds or, where there is one seed, over those settings. Dots are single "
        "trials, lines the means with these intervals."
    )
    if not results.fields:
        return ""
    compared = sorted_table(header, rows) or page.paragraph(
        "No setting of the other fields is done with every value of a field: there is nothing to "
        "compare, all else the same."
    )
    drawn = page.paragraph(page.WITHOUT)
    if page.has_plots():
        drawn = page.plot(sweep_pictures.effects(results))
    return page.paragraph(words) + page.paragraph(left_out(results)) + compared + drawn


def left_out(results: Results) -> str:
    """The values that no main effect is of, nor is reckoned with, as a sentence."""
    unknown = [
        f"{name}={value}"
        for field, name in sweep_results.short_names(results.fields).items()
        for value in sweep_effects.left_out(results, field)
    ]
    if not unknown:
        return ""
    return f"Left out, as too few trials are done that have a finite number: {', '.join(unknown)}."


def trial_rows(results: Results, workdir: Path) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """A row for each trial: what it is, how far it came, what was measured."""
    split, numbers = measured(results)
    every = dict.fromkeys(name for trial in results.trials for name in trial.chosen)
    fields = sweep_results.short_names(list(every))
    header = (
        "trial",
        *fields.values(),
        "state",
        "step",
        f"valid {watched(results)}",
        "of step",
        *(f"{split} {curves.labelled(name, results.meanings)}" for name in numbers),
    )
    rows = [
        (
            link(trial, workdir),
            *(trial.chosen.get(name, "") for name in fields),
            trial.state,
            trial.step,
            page.number(trial.best if trial.best_step is not None else None),
            "" if trial.best_step is None else trial.best_step,
            *(page.number(of_split(trial, split).get(name)) for name in numbers),
        )
        for trial in sweep_results.best_first(results)
    ]
    return header, rows


def link(trial: Trial, workdir: Path) -> page.Cell:
    """A trial by its name, which leads to its own report where there is one."""
    beside = trial.workdir / "report.html"
    where = beside.relative_to(workdir).as_posix() if beside.exists() else None
    return page.Cell(trial.workdir.name[:8], link=where)


def last_lines(results: Results, trial: Trial, workdir: Path) -> str:
    """Why a trial failed: what it printed at last, and before that the end of its log."""
    log = ledger.last_lines(trial.workdir / "log.txt", LINES)
    # a damaged one may not have more
    why = [] if trial.state is State.DAMAGED else ledger.failures(workdir, trial.workdir)
    printed = [words for words in why if words != trial.message]
    name = trial.workdir.relative_to(workdir).as_posix()
    told = trial.message or "its process ended and said nothing"
    end = f"<pre>{html.escape(chr(10).join([*log, *filter(None, printed)]))}</pre>"
    return page.folded(f"{sweep_results.trial_label(results, trial)} ({name}): {told}", end)
