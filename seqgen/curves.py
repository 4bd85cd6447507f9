"""The curves of a run, from the records of its metrics: as pictures, and as plots to zoom into."""

import math
from pathlib import Path
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqgen import page
from seqgen.metrics import Meaning

Records = list[dict[str, Any]]
DRAWN = (
    "step",
    "split",
    "loss",
    "gradient_norm",
    "clipped_norm",
    "learning_rate",
)  # by `main`, or no number
SCORES = (("d_real", "D(real)", 0), ("d_fake", "D(fake)", 3))  # metric, label, colour
DPI = 110
HALF = "1/2: can't be told apart"


def draw(records: Records, meanings: dict[str, Meaning], file: Path) -> Path:
    """Loss of training and validation, gradient norms, and learning rate against the step."""
    figure = Figure(figsize=(9, 7), dpi=DPI)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.3, 1))
    figure.subplots_adjust(left=0.11, right=0.99, bottom=0.075, top=0.985, hspace=0.09)
    for split, style in (("train", {"lw": 1}), ("valid", {"marker": "o", "ms": 4})):
        top.plot(*series(records, split, "loss"), label=split, **style)
    for name in losses_of_others(records):
        top.plot(*series(records, "train", name), label=name, lw=1)
    top.set_ylabel(labelled("loss", meanings))
    top.legend(frameon=False)
    middle.semilogy(
        *series(records, "train", "gradient_norm"), lw=4, alpha=0.3, label="before clipping"
    )
    middle.semilogy(*series(records, "train", "clipped_norm"), lw=1, color="C0", label="after")
    middle.set_ylabel("gradient norm")
    mark_log(middle)
    middle.legend(frameon=False)
    bottom.plot(*series(records, "train", "learning_rate"), lw=1)
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("step")
    return saved(figure, file)


def draw_scores(records: Records, file: Path) -> Path:
    """Means of D over real and over fake examples, the probability that they are real.

    Theory expects 1/2 of both at the end of the original game, minimax or non-saturating; where the
    loss is another, the scores may settle elsewhere.
    """
    figure = Figure(figsize=(9, 3.5), dpi=DPI)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.08, right=0.99, bottom=0.14, top=0.97)
    for name, label, colour in SCORES:
        axes.plot(*series(records, "train", name), label=label, lw=1, color=f"C{colour}")
        axes.plot(*series(records, "valid", name), "o", ms=4, color=f"C{colour}")
    axes.axhline(0.5, color="black", lw=0.8, ls="--", label=HALF)
    axes.set(ylim=(0, 1), ylabel="mean D, dots: validation", xlabel="step")
    axes.legend(frameon=False)
    return saved(figure, file)


def mark_log(axes: Axes) -> None:
    """A few plain numbers beside a logarithmic axis.

    Matplotlib's own are powers of ten that take a tenth of a second to set, and where the values
    span less than a decade they are many and wide.
    """
    low, high = axes.get_ylim()
    if high < 10 * low:
        where = ticker.MaxNLocator(4)
    else:
        where = ticker.LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=6)
    axes.yaxis.set_major_locator(where)
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def saved(figure: Figure, file: Path) -> Path:
    """Drawn once: a layout that adapts, and `savefig`, draw it three times to measure it."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        for curve in [curve for curve in axes.lines if len(curve.get_xdata()) == 1]:
            curve.set_marker(".")  # a line of one point is not seen
    FigureCanvasAgg(figure).print_png(file)
    return file


def plots(records: Records, meanings: dict[str, Meaning]) -> str:
    """The same curves for a page, values at the pointer, and every other number that was logged."""
    drawn = [main(records, meanings)]
    if is_game(records):
        drawn.append(scores(records))
    others = the_others(records, meanings)
    return "".join(map(page.plot, drawn if others is None else [*drawn, others]))


def main(records: Records, meanings: dict[str, Meaning]) -> Any:
    """As `draw` draws them; buttons choose the scale of the loss."""
    figure = page.figure(height=640, hovermode="x unified", hoversubplots="axis")
    line(figure, records, "train", "loss", 0)
    line(figure, records, "valid", "loss", 1)
    for number, name in enumerate(losses_of_others(records), start=2):
        line(figure, records, "train", name, number, label=name)
    before = {"label": "norm before clipping", "axis": "y2", "width": 4, "opacity": 0.3}
    line(figure, records, "train", "gradient_norm", 0, **before)
    line(figure, records, "train", "clipped_norm", 0, label="norm after", axis="y2")
    line(figure, records, "train", "learning_rate", 0, label="learning rate", axis="y3")
    return figure.update_layout(
        xaxis={"title": "step", "anchor": "y3"},
        yaxis={"title": labelled("loss", meanings), "domain": [0.5, 1]},
        yaxis2={"title": "gradient norm", "domain": [0.22, 0.45], "type": "log", "nticks": 5},
        yaxis3={"title": "learning rate", "domain": [0, 0.17]},
        updatemenus=[page.scales("yaxis")],
    )


def scores(records: Records) -> Any:
    """As `draw_scores` draws them."""
    figure = page.figure(height=320, hovermode="x unified")
    for name, label, colour in SCORES:
        line(figure, records, "train", name, colour, label=label)
        line(figure, records, "valid", name, colour, label=f"{label}, valid", mode="markers")
    figure.add_hline(0.5, line={"color": "black", "width": 1, "dash": "dash"}, annotation_text=HALF)
    return figure.update_layout(xaxis={"title": "step"}, yaxis={"title": "mean D", "range": [0, 1]})


def the_others(records: Records, meanings: dict[str, Meaning]) -> Any:
    """Every number that the others have no place for, one at a time; None where there is none."""
    names = dict.fromkeys(name for r in records for name, v in r.items() if is_number(v))
    drawn = (*DRAWN, *losses_of_others(records), *(name for name, _, _ in SCORES))
    names = [name for name in names if name not in drawn]
    if not names:
        return None
    names.sort(key=lambda name: (name not in meanings, "/" in name))  # what is reported first
    figure = page.figure(height=380, hovermode="x unified")
    for name in names:
        line(figure, records, "train", name, 0)
        line(figure, records, "valid", name, 1)
    figure.update_traces(visible=False)
    figure.update_traces(visible=True, selector=lambda trace: trace.meta == names[0])
    seen = {name: [trace.meta == name for trace in figure.data] for name in names}
    titles = [labelled(name, meanings) for name in names]
    return figure.update_layout(
        xaxis={"title": "step"},
        yaxis={"title": titles[0]},
        updatemenus=[page.dropdown(seen, titles)],
    )


def line(
    figure: Any,
    records: Records,
    split: str,
    name: str,
    colour: int,
    *,
    label: str | None = None,
    axis: str = "y",
    mode: str | None = None,
    width: float = 1.5,
    opacity: float = 1.0,
) -> None:
    """Adds a metric's trace, which knows its name as `meta`; nothing where there are no values."""
    steps, values = series(records, split, name)
    if not steps:
        return
    dots = split == "valid" or len(steps) == 1
    figure.add_scatter(
        x=steps,
        y=values,
        yaxis=axis,
        name=split if label is None else label,
        meta=name,
        mode=mode or ("lines+markers" if dots else "lines"),
        line={"color": page.COLOURS[colour % len(page.COLOURS)], "width": width},
        opacity=opacity,
        hovertemplate="%{y:.5g}",
    )


def is_game(records: Records) -> bool:
    return any("d_real" in record for record in records)


def losses_of_others(records: Records) -> list[str]:
    """The losses of the players after the first."""
    return list(dict.fromkeys(name for r in records for name in r if name.endswith("/loss")))


def series(records: Records, split: str, name: str) -> tuple[list[int], list[float]]:
    """(steps, values) of a metric, gaps as NaN."""
    rows = [r for r in records if r["split"] == split and name in r]
    return [r["step"] for r in rows], [as_float(r[name]) for r in rows]


def as_float(value: Any) -> float:
    return float(value) if is_number(value) else math.nan


def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def labelled(name: str, meanings: dict[str, Meaning]) -> str:
    """A metric's name with its unit, if it has one."""
    words = name.replace("_", " ")
    unit = meanings[name].unit if name in meanings else ""
    return f"{words} [{unit}]" if unit else words
