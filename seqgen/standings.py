"""How the trials of a sweep stand, as tables: for a terminal that is watched, and as plain text."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from seqgen import ledger, run_state
from seqgen.progress import duration
from seqgen.run_state import State
from seqgen.trials import Trial, short

SHOWN = 30  # rows of a table that is watched


class Standing(NamedTuple):
    """How far a run is."""

    step: int
    loss: float | None  # of the last steps that it has logged
    seconds_left: float | None


def standing(run: Path, num_steps: int) -> Standing:
    """Of a run directory, from its records; they may be of any age."""
    step = (run_state.status(run) or {}).get("step", 0)
    with contextlib.suppress(ValueError, KeyError, TypeError):  # the report says what is damaged
        for line in reversed(ledger.tail(run / "metrics.jsonl").split("\n")[:-1]):
            record = json.loads(line)
            if record["split"] == "train":
                rate = record.get("steps_per_second")
                latest = max(record["step"], step)
                left = (num_steps - latest) / rate if rate else None
                return Standing(latest, float(record["loss"]), left)
    return Standing(step, None, None)


def fields(trials: Iterable[Trial]) -> list[str]:
    """Every field that a trial chooses, in order."""
    return list(dict.fromkeys(name for trial in trials for name in trial.chosen))


def header(names: Sequence[str]) -> list[str]:
    return ["trial", *names, "state", "step", "loss", "left"]


def row(number: int, trial: Trial, names: Sequence[str], state: State, workdir: Path) -> list[str]:
    """A trial as a line of a table, `number` its place in the sweep."""
    chosen = [short(trial.chosen[name]) if name in trial.chosen else "" for name in names]
    of = trial.config.num_steps
    if state in (State.NEW, State.DAMAGED):
        return [str(number), *chosen, state, "", "", ""]
    step, loss, left = standing(workdir / trial.run, of)
    shown = duration(left) if state is State.RUNNING and left is not None else ""
    return [
        *(str(number), *chosen, state, f"{step}/{of}"),
        *("" if loss is None else f"{loss:.4g}", shown),
    ]


def counted(states: Iterable[State]) -> str:
    """Of each state how many there are: "3 done, 1 to do"."""
    count = Counter(states)
    return ", ".join(f"{count[state]} {state}" for state in State if count[state])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of text, their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([c.ljust(w) for c, w in zip(one, widths, strict=True)] for one in rows)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def pictured(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The same for a terminal, its first rows where there are many."""
    table = Table(title=title, title_justify="left", box=None)
    for name in header(names):
        table.add_column(name)
    for one in rows[:SHOWN]:
        table.add_row(*one)
    if len(rows) > SHOWN:
        table.caption = f"and {len(rows) - SHOWN} more"
    return table
