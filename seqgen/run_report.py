"""A run on one page, report.html, and its tables as report.md: of its directory's records alone."""

from pathlib import Path
from typing import Any

from ml_collections import config_dict

from seqgen import animation, curves, diagnosis_report, page, predictions, run_directory, run_state
from seqgen import config as configs
from seqgen import run as runs
from seqgen.alignment import ATTENTION
from seqgen.latent_texts import FOLDER
from seqgen.metrics import Meaning, frechet

SHOWN_SAMPLES = 3
Rows = list[tuple[Any, ...]]
FIELDS = ("field", "value", "default")


def write(workdir: Path) -> Path:
    """Writes curves.png, report.md and report.html of a run; returns the page's path.

    Of a game also scores.png, and its film (`animation.py`) where one was recorded. Without Plotly
    the page shows the pictures of the curves.
    """
    run = runs.load(workdir)
    meanings = predictions.reports(run)
    records = run_directory.read_metrics(workdir)
    status = run_directory.read_status(workdir)
    title = f"{workdir.resolve().name}: {run_state.state(workdir)}"
    header, numbers = results(workdir, records, meanings)
    chosen, environment = config_rows(run.config), environment_rows(workdir)
    drawn = [p for p in (workdir / "samples").glob("*.png") if not p.stem.endswith(ATTENTION)]
    evaluated = sorted((workdir / "evaluations").rglob("*.png"))
    sections = [
        page.paragraph(status.get("message") or ""),
        page.section("Results", page.table(header, numbers, "numbers")),
        "".join(page.image(p) for p in evaluated),
        "".join(page.text(p) for p in sorted((workdir / "evaluations" / FOLDER).glob("*.txt"))),
        page.section("Config: what differs from the defaults", page.table(FIELDS, chosen)),
        page.section("Curves", shown(records, meanings, workdir)),
        "".join(page.image(p) for p in sorted(drawn)),
        page.section("Points in training (generated)", film(run)),
        page.section("Samples", samples(workdir)),
        page.section("Gradients", diagnosis_report.section(workdir)),
        page.section("Environment", page.table(("what", "value"), environment)),
    ]
    told = (
        f"# {title}\n\n{page.markdown(header, numbers)}\n{page.markdown(FIELDS, chosen)}\n"
        f"{page.markdown(('environment', 'value'), environment)}"
    )
    (workdir / "report.md").write_text(told, encoding="utf-8")
    file = workdir / "report.html"
    file.write_text(page.whole(title, sections), encoding="utf-8")
    return file


def shown(records: curves.Records, meanings: dict[str, Meaning], workdir: Path) -> str:
    """The curves on the page, which are also left as pictures beside it."""
    drawn = [curves.draw(records, meanings, workdir / "curves.png")]
    if curves.is_game(records):
        drawn.append(curves.draw_scores(records, workdir / "scores.png"))
    if page.has_plots():
        return curves.plots(records, meanings)
    return "".join(map(page.image, drawn)) + page.paragraph(page.WITHOUT)


def results(
    workdir: Path, records: curves.Records, meanings: dict[str, Meaning]
) -> tuple[tuple[str, ...], Rows]:
    """(header, rows): the last validation and each stored evaluation, in all metrics they have.

    What there is more of stands in the rows.
    """
    rows = [(f"valid, step {r['step']}", r) for r in records if r["split"] == "valid"][-1:]
    for file in sorted((workdir / "evaluations").glob("*.json")):
        stored = run_directory.read_json(file, ("split", "step", "changed", "metrics"))
        how = "".join(f", {name}={value}" for name, value in stored["changed"].items())
        rows.append((f"{stored['split']}, step {stored['step']}{how}", stored["metrics"]))
    found = dict.fromkeys(name for _, metrics in rows for name in metrics)
    named = {n: Meaning("", larger_is_better=False) for n in found if n.startswith(frechet.NAME)}
    meanings = {name: m for name, m in (meanings | named).items() if name in found}
    names = {name: curves.labelled(name, meanings) for name in meanings}
    if len(names) > len(rows):
        header = ("number", *(label for label, _ in rows))
        return header, [(names[n], *(value(m, n) for _, m in rows)) for n in names]
    return ("evaluation", *names.values()), [(e, *(value(m, n) for n in names)) for e, m in rows]


def value(metrics: dict[str, Any], name: str) -> page.Cell:
    return page.number(curves.as_float(metrics[name]) if name in metrics else None)


def config_rows(config: config_dict.ConfigDict) -> Rows:
    parts = {kind: config[kind].name for kind in configs.PARTS}
    differ = configs.differences(configs.default(**parts), config)
    chosen = [(f"{kind}.name", name, "") for kind, name in parts.items()]
    return chosen + [(name, *reversed(values)) for name, values in differ.items()]


def environment_rows(workdir: Path) -> Rows:
    stored = run_directory.read_json(workdir / "environment.json", ("fingerprint",))
    return [(n, ", ".join(v) if isinstance(v, list) else v) for n, v in stored.items()]


def samples(workdir: Path) -> str:
    files = sorted((workdir / "samples").glob("*.txt"))[:SHOWN_SAMPLES]
    content = []
    for file in files:
        content.append(page.text(file))
        beside = file.with_name(f"{file.stem}{ATTENTION}.png")
        content += [page.image(beside)] if beside.exists() else []
    return "".join(content)


def film(run: runs.Run) -> str:
    """The film with its slider; as files of their own it is beside the page."""
    found = animation.animate(run)
    if found is None:
        return ""
    links = " and ".join(f'<a href="{file.name}">{file.name}</a>' for file in found.files)
    return f"{found.player}<p>Beside this page: {links}.</p>"
