"""Claims held against runs: the verb `study`.

A claim is a file of `experiments/claims/` with `get_claim() -> Claim` (`claims.py`): its sentence,
the runs that bear on it, what is measured of each, and thresholds, all written before there is a
run. Runs are ordinary run directories, called after a digest of their config: finished ones are
used again, also by other claims, and unfinished ones go on.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqgen import (
    backend,
    environment,
    evidence,
    lanes,
    own,
    report,
    run_directory,
    run_state,
    study_report,
    trials,
)
from seqgen import config as configs
from seqgen.claims import Check, Claim, Key, Reference, Rows, estimates, judged, together
from seqgen.errors import Failure, UsageError, unknown
from seqgen.interrupt import Interrupted
from seqgen.metrics.intervals import Estimate
from seqgen.progress import duration
from seqgen.run_state import State
from seqgen.session import refuse_another_run
from seqgen.study_report import spoken

TIME = "time.json"  # of a claim's training


def names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("[a-z]*.py"))


def load(folder: Path, name: str) -> Claim:
    """Raises UsageError for a name that is none of the folder's claims, or a file that fails."""
    if name not in names(folder):
        raise unknown("claim", name, names(folder))
    file = str(folder / f"{name}.py")
    found = own.call("claim", file, "get_claim")
    if not isinstance(found, Claim):
        raise UsageError(f"{file}: get_claim returns no Claim but {type(found).__name__}")
    return found


def minutes_left(claim: Claim, workdir: Path) -> float:
    """The claim's minutes times the share of its steps that is still to be trained.

    Endless where the claim's minutes are not known.
    """
    steps = {key: config.num_steps for key, config in claim.runs.items()}
    where = {key: trials.directory(config, workdir) for key, config in claim.runs.items()}
    left = sum(n for key, n in steps.items() if run_state.state(where[key]) is not State.DONE)
    if not left:
        return 0.0
    return math.inf if claim.minutes is None else claim.minutes * left / sum(steps.values())


def study(folder: Path, name: str, workdir: Path, *, compilation_cache: bool) -> dict[str, Any]:
    """Trains what is missing, measures, decides; returns what it writes to WORKDIR/NAME/.

    A verdict under other thresholds or of other runs, if there was one, stays in the record as
    superseded.

    Raises Interrupted, with all saved, where a signal stops a training, and UsageError for a run
    that is not the one it is called after.
    """
    claim, began, place = load(folder, name), time.monotonic(), workdir / name
    before = stored(place)
    written = run_directory.file_digest(folder / f"{name}.py")  # before anything is measured
    say(f"{name}: {claim.sentence}")
    where = trained(claim, workdir, place, compilation_cache)
    seen, rows = {key: evidence.load(path) for key, path in where.items()}, {}
    try:
        for number, key in enumerate(seen, start=1):
            say(f"[{number}/{len(where)}] {spoken(key)}: measuring")
            rows[key] = claim.measure(key, seen)
        finding = claim.conclude(rows)
        pairs = zip(claim.checks, finding.statistics, strict=True)
        checks = [checked(check, found) for check, found in pairs]
        picture = memoryview(finding.picture)  # TypeError for what are no bytes
    except (Failure, Interrupted, UsageError):
        raise
    except Exception as error:  # a user's file may fail in any way
        reason = f"{type(error).__name__}: {error}"  # the runs stand, and are used again
        raise UsageError(f"{folder / name}.py could not decide: {reason}") from error
    seconds = round(time.monotonic() - began, 1)
    runs = [path.name for path in where.values()]
    result = {
        "claim": name,
        "claim_sha256": written,
        "sentence": claim.sentence,
        "verdict": together([check["verdict"] for check in checks]),
        "checks": checks,
        "references": [reference._asdict() for reference in claim.references],
        "runs": [
            {"run": where[key], "of": key, "measured": run_directory.spelled(row)}
            for key, row in rows.items()
        ],
        "seconds": took(place, runs, before, seconds),
        "superseded": superseded(before, checks, runs),
    }
    place.mkdir(parents=True, exist_ok=True)
    run_directory.write_bytes(place / "picture.png", picture)
    run_directory.write_json(place / "verdict.json", result)
    say("\n".join([*table(rows), *map(beside, claim.references), *map(line, checks)]))
    say(f"{name}: {result['verdict']} (in {duration(seconds)}, {place})")
    return result


def trained(claim: Claim, workdir: Path, place: Path, compilation_cache: bool) -> dict[Key, Path]:
    """Where the claim's runs are, all of them finished.

    The time that their training takes is shared among them, and added to that of earlier sittings.
    """
    where = {key: trials.directory(config, workdir) for key, config in claim.runs.items()}
    for key, config in claim.runs.items():
        refuse_another_run(configs.settled(config, None), where[key])
    missing = [key for key in where if run_state.state(where[key]) is not State.DONE]
    for number, key in enumerate(where, start=1):
        state = "to be trained" if key in missing else "finished before"
        say(f"[{number}/{len(where)}] {spoken(key)}: {state}, {where[key]}")
    began = time.monotonic()
    try:
        lanes.train(
            [claim.runs[key] for key in missing],
            [where[key] for key in missing],
            compilation_cache=compilation_cache,
        )
    finally:
        if missing:
            place.mkdir(parents=True, exist_ok=True)
            share, spent = (time.monotonic() - began) / len(missing), training_seconds(place)
            own = {where[key].name: spent.get(where[key].name, 0.0) + share for key in missing}
            run_directory.write_json(place / TIME, {"training_seconds": spent | own})
    return where


def training_seconds(place: Path) -> dict[str, float]:
    """What training has taken, by run; of those that the claim's studies have trained."""
    file, name = place / TIME, "training_seconds"
    found = run_directory.read_json(file, (name,))[name] if file.exists() else {}
    return found if isinstance(found, dict) else {}  # it was one number, of whatever runs


def took(place: Path, runs: list[str], before: dict[str, Any], measuring: float) -> float:
    """Seconds of training the runs; where other claims have, as said before or of measuring."""
    spent = training_seconds(place)
    if training := sum(spent.get(run, 0.0) for run in runs):
        return round(training, 1)
    return before["seconds"] if before and measured(before) == runs else measuring


def stored(place: Path) -> dict[str, Any]:
    """The record of an earlier study of the claim; empty where there is none."""
    file = place / study_report.VERDICT
    return run_directory.read_json(file, study_report.KEYS) if file.exists() else {}


def measured(verdict: dict[str, Any]) -> list[str]:
    """The runs that were measured."""
    return [Path(run["run"]).name for run in verdict["runs"]]


def superseded(
    before: dict[str, Any], checks: list[dict[str, Any]], runs: list[str]
) -> list[dict[str, Any]]:
    """The verdicts that the claim had under other thresholds, or of other runs, than it has now."""

    def says(some: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [tuple(check[field] for field in Check._fields) for check in some]

    kept = before.get("superseded", [])
    if not before:
        return []
    alike = says(before["checks"]) == says(checks)
    if alike and measured(before) == runs:
        return kept
    how = "of other runs" if alike else "under other thresholds"
    return [*kept, {"how": how} | {name: before[name] for name in ("verdict", "checks")}]


def checked(check: Check, found: Estimate) -> dict[str, Any]:
    spelled = run_directory.spelled(found._asdict())
    return check._asdict() | {"found": spelled, "verdict": judged(check, found)}


def line(check: dict[str, Any]) -> str:
    """A check as a person reads it."""
    numbers = f"{study_report.found(check)}, claimed {study_report.claimed(check)}"
    return f"  {check['statistic']}: {numbers}: {check['verdict']}"


def table(rows: Rows) -> Iterator[str]:
    """Means over seeds with their intervals, a line for each number of what is compared."""
    for number in dict.fromkeys(number for row in rows.values() for number in row):
        yield f"  {number}"
        for name, (value, low, high) in estimates(rows, number).items():
            yield f"    {' '.join(map(str, name)):20} {value:.4g} ({low:.4g} to {high:.4g})"


def references(result: dict[str, Any]) -> list[Reference]:
    return [Reference(**reference) for reference in result["references"]]


def beside(reference: Reference) -> str:
    return f"  {reference.of}: {reference.value:.4g} ({reference.source})"


def say(text: str) -> None:
    print(text, flush=True)


def every(folder: Path, workdir: Path, budget: float, *, compilation_cache: bool) -> None:
    """Studies all claims, those that need the least first, and prints a table of the verdicts.

    budget: minutes; a claim that does not fit into what is left of them is left. Raises Failure in
    the end where claims could not be decided.
    """
    began, lines, failed, left = time.monotonic(), [], [], {}
    width = max(map(len, names(folder)))

    def undecided(name: str, error: Exception) -> None:
        failed.append(name)
        lines.append(f"{name:{width}} not decided: {error}")

    for name in names(folder):
        try:
            left[name] = minutes_left(load(folder, name), workdir)
        except UsageError as error:  # a file that fails, or a damaged run
            undecided(name, error)
    for name, minutes in sorted(left.items(), key=lambda item: item[1]):
        needed = "of a time not known" if math.isinf(minutes) else f"{minutes:.0f} minutes"
        say(f"{name}: runs {needed} to train" if minutes else f"{name}: all runs are finished")
    for name, _ in sorted(left.items(), key=lambda item: item[1]):
        try:
            minutes = minutes_left(load(folder, name), workdir)  # again, since claims share runs
        except UsageError as error:
            undecided(name, error)
            continue
        if budget < math.inf and (time.monotonic() - began) / 60 + minutes > budget:
            needed = "its time is not known" if math.isinf(minutes) else f"{minutes:.0f} minutes"
            lines.append(f"{name:{width}} left: {needed}")
            continue
        try:
            result = study(folder, name, workdir, compilation_cache=compilation_cache)
        except (Failure, UsageError) as error:
            undecided(name, error)
            continue
        lines.append(f"{name:{width}} {result['verdict']} (runs: {duration(result['seconds'])})")
        lines += [*map(line, result["checks"]), *map(beside, references(result))]
    say("\n".join(lines))
    if study_report.verdicts(workdir):
        say(f"report: {report.report(workdir)}")
    if failed:
        raise Failure(f"not decided: {', '.join(failed)}")


def main(
    folder: Path, name: str | None, budget: float, workdir: Path, *, compilation_cache: bool
) -> None:
    """The verb: one claim of the folder, or all where none is named."""
    run_directory.refuse_file(workdir)
    # one process trains runs of all batch sizes: as many devices as any of them may use
    backend.start(environment.cores(), compilation_cache=compilation_cache)
    if name is None:
        every(folder, workdir, budget, compilation_cache=compilation_cache)
    else:
        study(folder, name, workdir, compilation_cache=compilation_cache)
        say(f"report: {report.report(workdir)}")
