"""A run on one page: report.html, self-contained, made of the run directory's records alone."""

import base64
import html
import math
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from ml_collections import config_dict

from seqgen import animation, predictions, run_directory
from seqgen import config as configs
from seqgen import run as runs
from seqgen.alignment import ATTENTION
from seqgen.latent_texts import FOLDER
from seqgen.metrics import Meaning, frechet

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { border-bottom: 1px solid #ccc; padding: .2rem .8rem .2rem 0; text-align: left; }
.numbers :is(th, td):not(:first-child) { text-align: right; padding-left: 1.5rem; }
.numbers td { font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
pre { background: #f4f4f2; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
SHOWN_SAMPLES = 3


def report(workdir: Path) -> Path:
    """Writes curves.png and report.html of a run; returns the page's path.

    Of a game also scores.png, and its film (`animation.py`) where one was recorded.
    """
    run = runs.load(workdir)
    meanings = predictions.reports(run)
    records = run_directory.read_metrics(workdir)
    curves = [draw_curves(records, meanings, workdir / "curves.png")]
    if any("d_real" in record for record in records):
        curves.append(draw_scores(records, workdir / "scores.png"))
    status = run_directory.read_status(workdir)
    title = f"{workdir.resolve().name}: {status['status']}"
    drawn = [p for p in (workdir / "samples").glob("*.png") if not p.stem.endswith(ATTENTION)]
    evaluated = sorted((workdir / "evaluations").rglob("*.png"))
    sections = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(status.get('message') or '')}</p>",
        "<h2>Results</h2>" + results_table(workdir, records, meanings),
        "".join(image(p) for p in evaluated),
        "".join(text(p) for p in sorted((workdir / "evaluations" / FOLDER).glob("*.txt"))),
        "<h2>Config: what differs from the defaults</h2>" + config_table(run.config),
        "<h2>Curves</h2>" + "".join(image(p) for p in [*curves, *sorted(drawn)]),
        film(run),
        samples(workdir),
        diagnoses(workdir),
        "<h2>Environment</h2>" + environment_table(workdir),
    ]
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body>{''.join(sections)}</body></html>\n"
    )
    file = workdir / "report.html"
    file.write_text(page, encoding="utf-8")
    return file


def draw_curves(records: list[dict[str, Any]], meanings: dict[str, Meaning], file: Path) -> Path:
    """Loss of training and validation, gradient norms, and learning rate against the step."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.3, 1))
    for split, style in (("train", {"lw": 1}), ("valid", {"marker": "o", "ms": 4})):
        top.plot(*series(records, split, "loss"), label=split, **style)
    others = dict.fromkeys(name for r in records for name in r if name.endswith("/loss"))
    for name in others:  # of players after the first
        top.plot(*series(records, "train", name), label=name, lw=1)
    top.set_ylabel(labelled("loss", meanings))
    top.legend(frameon=False)
    middle.semilogy(
        *series(records, "train", "gradient_norm"), lw=4, alpha=0.3, label="before clipping"
    )
    middle.semilogy(*series(records, "train", "clipped_norm"), lw=1, color="C0", label="after")
    middle.set_ylabel("gradient norm")
    middle.legend(frameon=False)
    bottom.plot(*series(records, "train", "learning_rate"), lw=1)
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("step")
    return saved(figure, file)


def draw_scores(records: list[dict[str, Any]], file: Path) -> Path:
    """Means of D over real and over fake examples, the probability that they are real.

    Theory expects 1/2 of both at the end of the original game, minimax or non-saturating; where the
    loss is another, the scores may settle elsewhere.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, label, color in (("d_real", "D(real)", "C0"), ("d_fake", "D(fake)", "C3")):
        axes.plot(*series(records, "train", name), label=label, lw=1, color=color)
        axes.plot(*series(records, "valid", name), "o", ms=4, color=color)
    axes.axhline(0.5, color="black", lw=0.8, ls="--", label="1/2: can't be told apart")
    axes.set(ylim=(0, 1), ylabel="mean D, dots: validation", xlabel="step")
    axes.legend(frameon=False)
    return saved(figure, file)


def saved(figure: Figure, file: Path) -> Path:
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with matplotlib.rc_context({"savefig.dpi": 110}):
        figure.savefig(file)
    return file


def series(records: list[dict[str, Any]], split: str, name: str) -> tuple[list[int], list[float]]:
    """(steps, values) of a metric, gaps as NaN."""
    rows = [r for r in records if r["split"] == split and name in r]
    return [r["step"] for r in rows], [number(r[name]) for r in rows]


def number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def labelled(name: str, meanings: dict[str, Meaning]) -> str:
    """A metric's name with its unit, if it has one."""
    words, unit = name.replace("_", " "), meanings[name].unit
    return f"{words} [{unit}]" if unit else words


def results_table(
    workdir: Path, records: list[dict[str, Any]], meanings: dict[str, Meaning]
) -> str:
    """A row for the last validation and for each stored evaluation, a column for each metric."""
    rows = [(f"valid, step {r['step']}", r) for r in records if r["split"] == "valid"][-1:]
    for file in sorted((workdir / "evaluations").glob("*.json")):
        stored = run_directory.read_json(file, ("split", "step", "changed", "metrics"))
        how = "".join(f", {name}={value}" for name, value in stored["changed"].items())
        rows.append((f"{stored['split']}, step {stored['step']}{how}", stored["metrics"]))
    found = dict.fromkeys(name for _, metrics in rows for name in metrics)
    named = {n: Meaning("", larger_is_better=False) for n in found if n.startswith(frechet.NAME)}
    meanings = {name: m for name, m in (meanings | named).items() if name in found}
    numbers = [(label, *(f"{number(m.get(n)):.5g}" for n in meanings)) for label, m in rows]
    header = ("evaluation", *(labelled(n, meanings) for n in meanings))
    return table(header, numbers, style="numbers")


def config_table(config: config_dict.ConfigDict) -> str:
    parts = {kind: config[kind].name for kind in configs.PARTS}
    differ = configs.differences(configs.default(**parts), config)
    chosen = [(f"{kind}.name", name, "") for kind, name in parts.items()]
    return table(
        ("field", "value", "default"), chosen + [(n, v[1], v[0]) for n, v in differ.items()]
    )


def environment_table(workdir: Path) -> str:
    stored = run_directory.read_json(workdir / "environment.json", ("fingerprint",))
    words = [(n, ", ".join(v) if isinstance(v, list) else v) for n, v in stored.items()]
    return table(("what", "value"), words)


def samples(workdir: Path) -> str:
    files = sorted((workdir / "samples").glob("*.txt"))[:SHOWN_SAMPLES]
    shown = []
    for file in files:
        shown.append(text(file))
        beside = file.with_name(f"{file.stem}{ATTENTION}.png")
        shown += [image(beside)] if beside.exists() else []
    return "<h2>Samples</h2>" + "".join(shown) if shown else ""


def diagnoses(workdir: Path) -> str:
    """What `diagnose` has measured of the run's gradients: a table, then its pictures."""
    folder, rows = workdir / "diagnoses", []
    for file in sorted(folder.glob("*.json")):
        stored = run_directory.read_json(file, ("split", "layers"))
        if "step" not in stored:
            continue  # of all checkpoints together: its picture says it
        for layer in stored["layers"]:
            found, exponents = layer["decay"], layer["lyapunov_nats_per_step"]
            lives = "does not fall" if found["half_life"] == "Infinity" else found["half_life"]
            name = f"{stored['split']}, step {stored['step']}, {layer['layer']}"
            rows.append((name, lives, found["rate"], found["verdict"], exponents[0]))
    pictures = "".join(image(p) for p in sorted(folder.glob("*.png")))
    header = (
        "layer",
        "half-life of the error [steps]",
        "rate [nats a step back]",
        "verdict",
        "Lyapunov exponent [nats a step]",
    )
    measured = table(header, rows) if rows else ""
    return f"<h2>Gradients</h2>{measured}{pictures}" if measured or pictures else ""


def film(run: runs.Run) -> str:
    drawn = animation.animate(run)
    if drawn is None:
        return ""
    moving, page = drawn
    link = f'<p><a href="{page.name}">{page.name}</a> plays it, with a slider.</p>'
    return "<h2>Points in training (generated)</h2>" + image(moving) + link


def text(file: Path) -> str:
    content = html.escape(file.read_text("utf-8"))
    return f"<p>{html.escape(file.name)} (generated)</p><pre>{content}</pre>"


def image(file: Path) -> str:
    kind, data = file.suffix[1:], base64.b64encode(file.read_bytes()).decode()
    return f'<p><img alt="{html.escape(file.stem)}" src="data:image/{kind};base64,{data}"></p>'


def table(header: tuple[str, ...], rows: list[tuple[Any, ...]], style: str = "words") -> str:
    """Rows as an HTML table of that class; every value escaped."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in header) + "</tr>"]
    lines += [
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows
    ]
    return f'<table class="{style}">{"".join(lines)}</table>'
