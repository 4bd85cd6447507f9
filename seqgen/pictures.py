"""Pictures of tables of numbers, as the bytes of a PNG: attention, confusion of classes, curves."""

import io
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib import image
from matplotlib.figure import Figure

from seqgen.metrics.intervals import Estimate

CELL = 0.28  # inches of a row or a column
NUMBERED = 16  # classes at most whose numbers can be read in their cells


class Alignment(NamedTuple):
    """Where a model looked while it wrote one answer."""

    weights: np.ndarray  # [T, S], each row sums to one
    written: list[str]  # T tokens
    read: list[str]  # S tokens


class Looks(NamedTuple):
    """Where in a picture a model looked while it wrote one answer."""

    weights: np.ndarray  # [T, h, w], each of T sums to one
    written: list[str]  # T tokens
    picture: np.ndarray  # [H, W, C] in [0, 1]


class Scores(NamedTuple):
    """How anomalous examples of two kinds look, and above what an alarm is raised."""

    name: str
    regular: np.ndarray  # [N]
    anomalous: np.ndarray  # [M]
    threshold: float  # infinite where there is none


def attention(alignments: list[Alignment], title: str) -> bytes:
    """A heat map of each alignment below the other: a row for each token that was written."""
    heights = [2.0 + CELL * len(one.written) for one in alignments]
    width = 2.5 + CELL * max(len(one.read) for one in alignments)
    figure = Figure(figsize=(max(width, 5.0), sum(heights)), layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(len(alignments), 1, squeeze=False, height_ratios=heights)
    for axes, one in zip(grid[:, 0], alignments, strict=True):
        axes.imshow(one.weights, cmap="Blues", vmin=0, vmax=1)
        axes.xaxis.tick_top()
        _label(axes, one.written, one.read)
    return _png(figure)


def looks(shown: list[Looks], title: str) -> bytes:
    """A row for each picture: itself, then once for each token, dark where it was not looked at."""
    columns = 1 + max(len(one.written) for one in shown)
    size = (1.3 * columns, 0.6 + 1.6 * len(shown))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=9)
    for axes in figure.subplots(len(shown), columns, squeeze=False).flat:
        axes.set_axis_off()
    rows = np.reshape(figure.axes, (len(shown), columns))
    for row, one in zip(rows, shown, strict=True):
        picture_HWC = np.broadcast_to(one.picture, (*one.picture.shape[:2], 3))
        row[0].imshow(picture_HWC, vmin=0, vmax=1)
        for axes, weights_HW, token in zip(row[1:], one.weights, one.written, strict=False):
            high, wide = (
                -(-a // b) for a, b in zip(picture_HWC.shape, weights_HW.shape, strict=False)
            )
            light_HW = np.kron(weights_HW / weights_HW.max(), np.ones((high, wide)))
            light_HW = light_HW[: picture_HWC.shape[0], : picture_HWC.shape[1], None]
            axes.imshow(picture_HWC * (0.2 + 0.8 * light_HW), vmin=0, vmax=1)
            axes.set_title(token, fontsize=8, parse_math=False)
    return _png(figure)


def confusion(counts_CC: np.ndarray, names: list[str], title: str) -> bytes:
    """How often each class (a row) was taken for each (a column), shaded by shares of the row."""
    counts_CC = np.asarray(counts_CC)
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    size, few = len(names), len(names) <= NUMBERED
    side = 2.5 + size * (0.75 if few else min(CELL, 12 / size))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=9)
    axes.imshow(shares_CC, cmap="Blues", vmin=0, vmax=1)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    if size <= 100:  # more names can't be told apart
        _label(axes, names, names)
    for row, column in np.ndindex(shares_CC.shape) if few else ():
        count, share = counts_CC[row, column], shares_CC[row, column]
        color = "white" if share > 0.5 else "black"
        text = f"{count:.0f}\n{100 * share:.1f} %"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    return _png(figure)


def gallery(rows: list[np.ndarray], names: list[str] | None, title: str) -> bytes:
    """Rows of examples, each of them a picture [H, W, C], a sequence [T, E] or a vector [F]."""
    columns = max(map(len, rows))
    size = (0.9 * columns + (1.0 if names else 0.2), 0.9 * len(rows) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=9)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    low, high = min(r.min() for r in rows), max(r.max() for r in rows)
    for number, (axes_row, row) in enumerate(zip(grid, rows, strict=True)):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, example in zip(axes_row, row, strict=False):
            if example.ndim == 3:
                shown = np.broadcast_to(example, (*example.shape[:2], 3))
                axes.imshow(np.clip(shown, 0, 1))
                continue
            axes.set_ylim(low, high)
            axes.plot(example, lw=0.8)
        if names:
            axes_row[0].set_title(names[number], loc="left", fontsize=8, parse_math=False)
    return _png(figure)


def curves(
    lines: dict[str, dict[Any, Estimate]], across: str, upward: str, title: str, *, doubling: bool
) -> bytes:
    """A line for each name, through its estimates with their intervals, where those have an end.

    They are given by their places across: numbers, such as sizes that double, or names, which no
    line joins.
    """
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=9, parse_math=False)
    for name, line in lines.items():
        ends_P3 = np.asarray(list(line.values()))
        away_P2 = np.abs(ends_P3[:, 1:] - ends_P3[:, :1])
        away_P2[~np.isfinite(away_P2)] = 0
        places = list(line)
        joined = "none" if isinstance(places[0], str) else "-"  # between names there is nothing
        style = {"marker": "o", "ms": 4, "capsize": 3, "ls": joined}
        axes.errorbar(places, ends_P3[:, 0], away_P2.T, label=name, **style)
    if doubling:
        axes.set_xscale("log", base=2)
        named = []
        for place in sorted({place for line in lines.values() for place in line}):
            if not named or place > 1.4 * named[-1]:  # else their names would overlap
                named.append(place)
        axes.set_xticks(named, [f"{place:g}" for place in named])
    axes.set_xlabel(across, parse_math=False)
    axes.set_ylabel(upward, parse_math=False)
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def scatter(
    xy_N2: np.ndarray, class_N: np.ndarray | None, title: str, names: list[str] | None = None
) -> bytes:
    """Points in the plane, coloured by class where there are classes; those may have names."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=9)
    drawn = axes.scatter(*xy_N2.T, c=class_N, s=4, cmap="tab10", lw=0)
    if class_N is not None:
        marks, numbers = drawn.legend_elements()
        axes.legend(marks, names or numbers, fontsize=8, frameon=False)
    axes.set_aspect("equal", "datalim")
    return _png(figure)


def histograms(panels: list[Scores], title: str) -> bytes:
    """Shares of regular and of anomalous examples by their score, a panel for each score."""
    figure = Figure(figsize=(3.6 * len(panels) + 0.4, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=9, parse_math=False)
    for axes, one in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        both = np.concatenate([one.regular, one.anomalous])
        low, high = np.percentile(both, (0, 99.5))
        if np.isfinite(one.threshold):
            high = max(high, one.threshold)
        bins = np.linspace(low, high, 31)
        for scores, name in ((one.regular, "regular"), (one.anomalous, "anomalous")):
            share = np.full(len(scores), 1 / len(scores))
            inside = np.minimum(scores, high)  # the last bar holds the few that are far out
            axes.hist(inside, bins, weights=share, alpha=0.6, label=f"{name}, n={len(scores)}")
        if np.isfinite(one.threshold):
            axes.axvline(one.threshold, color="black", lw=1, ls="--", label="threshold")
        axes.set_xlabel(one.name)
        axes.set_ylabel("share")
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def picture(pixels_HWC: np.ndarray) -> bytes:
    """A picture of numbers in [0, 1], pixel for pixel."""
    content = io.BytesIO()
    colours = np.broadcast_to(pixels_HWC, (*pixels_HWC.shape[:2], 3))
    image.imsave(content, np.clip(colours, 0, 1), format="png", metadata={"Software": None})
    return content.getvalue()


def _label(axes, rows: list[str], columns: list[str]) -> None:
    plain = {"fontsize": 8, "parse_math": False}  # a dollar is a dollar
    axes.set_yticks(range(len(rows)), rows, **plain)
    axes.set_xticks(range(len(columns)), columns, rotation=90, **plain)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    with matplotlib.rc_context({"savefig.dpi": 110}):
        figure.savefig(content, format="png")
    return content.getvalue()
