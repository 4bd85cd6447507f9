"""The verdicts of studies on one page: report.html and report.md, of their records alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqgen import page, run_directory
from seqgen.progress import duration

VERDICT = "verdict.json"
KEYS = ("claim", "sentence", "verdict", "checks", "references", "runs", "seconds")
OF_CHECK = ("statistic", "threshold", "above", "found", "verdict")
HEADER = ("claim", "verdict", "it says", "checks that stand", "time")
CHECKS = ("claim", "statistic", "found", "claimed", "verdict")
BESIDE = ("claim", "beside", "value", "source")  # published, or what knowing nothing gives


def verdicts(workdir: Path) -> list[Path]:
    """The records of the studies in a directory."""
    return sorted(workdir.glob(f"*/{VERDICT}"))


def write(workdir: Path) -> Path:
    """Writes report.md and report.html of a directory of studies; returns the page's path."""
    files = verdicts(workdir)
    found = {file.parent: run_directory.read_json(file, KEYS) for file in files}
    for file, one in zip(files, found.values(), strict=True):
        for check in one["checks"]:
            run_directory.refuse_without(check, OF_CHECK, file)
    title = f"{workdir.resolve().name}: {page.counted([one['verdict'] for one in found.values()])}"
    rows = [row(one) for one in found.values()]
    measured = [line for one in found.values() for line in checks(one)]
    published = [line for one in found.values() for line in references(one)]
    sections = [
        page.table(HEADER, rows, sortable=True),
        page.paragraph(
            "Intervals are over the seeds of the runs; time is that of the study that trained them."
        ),
        *(study(one, folder, workdir) for folder, one in found.items()),
    ]
    told = f"# {title}\n\n{page.markdown(HEADER, rows)}\n{page.markdown(CHECKS, measured)}"
    told += f"\n{page.markdown(BESIDE, published)}" if published else ""
    (workdir / "report.md").write_text(told, encoding="utf-8")
    file = workdir / "report.html"
    file.write_text(page.whole(title, sections), encoding="utf-8")
    return file


def row(one: dict[str, Any]) -> tuple[Any, ...]:
    words = [check["verdict"] for check in one["checks"]]
    stand = words.count("SUPPORTED")
    name = page.Cell(one["claim"], link=f"#{one['claim']}")
    stands = page.Cell(f"{stand} of {len(words)}", stand)
    time = page.Cell(duration(one["seconds"]), one["seconds"])
    return name, one["verdict"], one["sentence"], stands, time


def checks(one: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (one["claim"], check["statistic"], found(check), claimed(check), check["verdict"])
        for check in one["checks"]
    ]


def references(one: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (one["claim"], r["of"], page.number(r["value"]), r["source"]) for r in one["references"]
    ]


def found(check: dict[str, Any]) -> page.Cell:
    value, low, high = (float(check["found"][end]) for end in ("value", "low", "high"))
    return page.Cell(f"{value:.4g} ({low:.4g} to {high:.4g})", value)


def claimed(check: dict[str, Any]) -> page.Cell:
    side = "above" if check["above"] else "below"
    return page.Cell(f"{side} {check['threshold']:g}", check["threshold"])


def study(one: dict[str, Any], folder: Path, workdir: Path) -> str:
    """The verdict of a claim with its picture, and what was measured of its runs."""
    published = [line[1:] for line in references(one)]
    beside = page.table(BESIDE[1:], published) if published else ""
    earlier = "".join(
        page.paragraph(f"Before, {was.get('how', 'under other thresholds')}: {was['verdict']}.")
        + page.table(CHECKS[1:], [line[1:] for line in checks(was | {"claim": one["claim"]})])
        for was in one.get("superseded", ())
    )
    picture = folder / "picture.png"
    numbers = list(dict.fromkeys(name for run in one["runs"] for name in run["measured"]))
    measured = page.table(
        ("run", "of", *numbers),
        [
            (link(run["run"], workdir), spoken(run["of"]), *(cell(run, name) for name in numbers))
            for run in one["runs"]
        ],
        sortable=True,
    )
    return (
        page.section(
            f"{one['claim']}: {one['verdict']}", page.paragraph(one["sentence"] + ".")
        ).replace("<h2>", f'<h2 id="{one["claim"]}">')
        + page.table(CHECKS[1:], [line[1:] for line in checks(one)])
        + beside
        + earlier
        + (page.image(picture) if picture.exists() else "")
        + page.folded(f"{len(one['runs'])} runs", measured)
    )


def cell(run: dict[str, Any], name: str) -> page.Cell:
    value = run["measured"].get(name)
    return page.number(None if value is None else float(value))


def spoken(key: Sequence[Any]) -> str:
    """A run of a claim by what it is of, its seed last."""
    return f"{' '.join(map(str, key[:-1]))}, seed {key[-1]}"


def link(run: str, workdir: Path) -> page.Cell:
    """A run by its name, which leads to its report where that is still in the directory."""
    name = Path(run).name
    beside = f"runs/{name}/report.html"
    return page.Cell(name, link=beside if (workdir / beside).exists() else None)
