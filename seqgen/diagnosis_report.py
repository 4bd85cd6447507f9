"""What `diagnose` has measured, on a page: a section of a run's, or a page of configs and grids."""

from pathlib import Path
from typing import Any

from seqgen import page, run_directory

FOLDER = "diagnoses"
NUMBERS = (
    "half-life of the error [steps]",
    "rate [nats a step back]",
    "rows of which nothing arrives [share]",
    "verdict",
    "Lyapunov exponent [nats a step]",
)
Rows = list[tuple[Any, ...]]


def records(workdir: Path) -> dict[Path, dict[str, Any]]:
    """The diagnoses that a directory has, by their files."""
    files = sorted((workdir / FOLDER).glob("*.json"))
    found = {file: run_directory.read_json(file, ("split",)) for file in files}
    for file, one in found.items():
        run_directory.refuse_without(one, ("points",) if "grid" in one else ("layers",), file)
    return found


def section(workdir: Path) -> str:
    """Of a run: a table of its checkpoints, then the pictures."""
    # of all checkpoints together the picture says it
    rows = [row for one in records(workdir).values() if "step" in one for row in layers(one)]
    pictures = "".join(page.image(p) for p in sorted((workdir / FOLDER).glob("*.png")))
    return (page.table(("layer", *NUMBERS), rows, "numbers") if rows else "") + pictures


def write(workdir: Path) -> Path:
    """Writes report.md and report.html of configs at initialisation; returns the page's path."""
    title, sections, told = f"{workdir.resolve().name}: gradients at initialisation", [], []
    for file, one in records(workdir).items():
        run_directory.refuse_without(one, () if "grid" in one else ("title", "step"), file)
        heading = f"grid {one['grid']}" if "grid" in one else one["title"]
        header, rows = points(one) if "grid" in one else (("layer", *NUMBERS), layers(one))
        drawn = sorted(file.parent.glob(f"{file.stem}*.png"))
        table = page.table(header, rows, "numbers", sortable=True)
        sections.append(page.section(heading, table, *map(page.image, drawn)))
        told.append(f"## {heading}\n\n{page.markdown(header, rows)}")
    (workdir / "report.md").write_text(f"# {title}\n\n" + "\n".join(told), encoding="utf-8")
    file = workdir / "report.html"
    file.write_text(page.whole(title, sections), encoding="utf-8")
    return file


def layers(one: dict[str, Any]) -> Rows:
    """Of a record of one set of parameters, a row for each layer."""
    named = f"{one['split']}, step {one['step']}"
    return [(f"{named}, {layer['layer']}", *numbers(layer)) for layer in one["layers"]]


def points(one: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """(header, rows) of a grid: what was chosen for each point, its layer, its numbers."""
    chosen = tuple(one["points"][0]["chosen"])
    rows = [
        (*(str(point["chosen"][name]) for name in chosen), point["layer"], *numbers(point))
        for point in one["points"]
    ]
    return (*chosen, "layer", *NUMBERS), rows


def numbers(layer: dict[str, Any]) -> tuple[Any, ...]:
    found = layer["decay"]
    falls = found["half_life"] != "Infinity"
    lives = page.number(float(found["half_life"])) if falls else "does not fall"
    rate, blocked, exponent = (
        page.number(float(value))
        for value in (found["rate"], found["blocked"], layer["lyapunov_nats_per_step"][0])
    )
    return lives, rate, blocked, found["verdict"], exponent
