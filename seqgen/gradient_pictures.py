"""Pictures of a diagnosis, as the bytes of a PNG: a row for each recurrent layer and direction.

Norms come as natural logarithms, as `gradient_flow.py` measures them, and are drawn to base 10.
"""

import io
import math
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from seqgen.gradient_flow import Bound, Flow, Spread
from seqgen.metrics.gradients import BINS, HALVINGS, Decay, Slopes, by_lag, means

WIDTH = 7.0  # inches: two columns of a paper
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 200,
}
UNITS = 24  # drawn over time: those whose state moves most
STEPS = 100  # drawn over time at most
LABELS = 12  # steps of training that are named at most


class Row(NamedTuple):
    """One walk in the picture of a training or of a grid."""

    label: str
    log: np.ndarray  # [T], mean log norms; nan where there is none
    decay: Decay


@matplotlib.rc_context(STYLE)
def flows(found: dict[str, tuple[Flow, Decay]], title: str) -> bytes:
    """Left the gradient at every step, right the error of the last step alone, walked back."""
    figure, grid = _panels(len(found), 2, title)
    for (path, (flow, decay)), (left, right) in zip(found.items(), grid, strict=True):
        real_TB = np.asarray(flow.real)
        total_TB = np.where(real_TB, _ten(flow.total), np.nan)
        steps_T = np.arange(1, len(total_TB) + 1)
        left.plot(steps_T, _drawn(total_TB), color="0.8", lw=0.5)
        left.plot(steps_T, means(total_TB), color="C0", lw=1.5, label="mean")
        left.set(title=path, xlabel="step t", ylabel=r"$\log_{10}\,\|\partial L/\partial h_t\|$")
        last_TB = by_lag(_ten(flow.last), flow.before_last)
        lags_T, mean_T = np.arange(len(last_TB)), means(last_TB)
        right.plot(lags_T, _drawn(last_TB), color="0.8", lw=0.5)
        right.plot(lags_T, mean_T, color="C0", lw=1.5, label="mean of the examples")
        right.plot(lags_T, _line(mean_T, decay), "C3--", lw=1, label="fit")
        title = f"{spoken(decay)}\n{decay.halvings:+.1f} halvings, threshold {HALVINGS:g}"
        right.set(title=title, xlabel="steps before the last", ylabel=r"$\log_{10}$ norm")
        right.legend()
    return _png(figure)


@matplotlib.rc_context(STYLE)
def spreads(found: dict[str, tuple[Spread, Bound | None]], title: str) -> bytes:
    """Left singular values of products of Jacobians, right the Lyapunov spectrum."""
    figure, grid = _panels(len(found), 2, title)
    for (path, (spread, bound)), (left, right) in zip(found.items(), grid, strict=True):
        mean_NK = np.mean(_ten(spread.singular), axis=1)
        mean_NK = np.where(np.isfinite(mean_NK), mean_NK, np.nan)  # below the precision in a row
        marker = {} if spread.exact else {"marker": "o", "ms": 3}
        left.plot(spread.lags, mean_NK[:, 0], "C0", lw=1.5, label="largest", **marker)
        if spread.exact:
            middle, last = mean_NK.shape[1] // 2, mean_NK.shape[1] - 1
            if 0 < middle < last:
                left.plot(spread.lags, mean_NK[:, middle], "C0", lw=0.8, label="median")
            if last > 0:
                left.plot(spread.lags, mean_NK[:, last], "C0:", lw=1, label="smallest")
        if bound is not None and bound.step > 0:
            label = rf"bound: $\sigma_{{\max}}(W)\,\max|f'|$ = {bound.step:.3g} a step"
            left.plot(spread.lags, spread.lags * math.log10(bound.step), "C3--", lw=1, label=label)
        left.set(title=path, xlabel=r"steps back, $T-t$")
        left.set_ylabel(r"$\log_{10}$ singular value of $\partial h_T/\partial h_t$")
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2)  # hides no curve
        for exponents_K in spread.exponents:
            shown = np.where(np.isfinite(exponents_K), exponents_K, np.nan)
            right.plot(np.arange(1, len(shown) + 1), shown, "o-", color="C0", ms=2, lw=0.5)
        right.axhline(0, color="black", lw=0.8, ls="--")
        largest = float(np.mean(spread.exponents[:, 0]))
        right.set(title=f"largest {largest:+.3f} nats a step", xlabel="number of the exponent")
        right.set_ylabel("Lyapunov exponent [nats a step]")
    return _png(figure)


@matplotlib.rc_context(STYLE)
def slopes(found: dict[str, dict[str, Slopes]], title: str) -> bytes:
    """How often a gate is how steep: histograms of f' in shares of the largest slope."""
    figure, grid = _panels(len(found), 1, title)
    edges = np.linspace(0, 1, BINS + 1)
    for (path, gates), (axes,) in zip(found.items(), grid, strict=True):
        for name, one in gates.items():
            label = f"{name}: saturated low {one.closed:.1%}, high {one.opened:.1%}"
            axes.stairs(one.histogram, edges, lw=1.2, label=label)
        axes.set(title=path, xlabel=r"slope $|f'|\,/\,\max|f'|$", ylabel="share", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return _png(figure)


@matplotlib.rc_context(STYLE)
def layers(found: dict[str, np.ndarray], tokens: list[str] | None, title: str) -> bytes:
    """What the notes call layers: for each a map of units over the steps that were read.

    found: name -> [T, D]. The units are those whose last array moves most; tokens name the steps.
    """
    moved_D = np.std(found.get("update", list(found.values())[-1])[:STEPS], axis=0)
    units = np.sort(np.argsort(-moved_D, kind="stable")[:UNITS])
    steps = min(STEPS, *(len(array) for array in found.values()))
    figure = Figure(figsize=(WIDTH, 0.6 + 1.25 * len(found)), layout="constrained")
    figure.suptitle(title, fontsize=8, parse_math=False)
    grid = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, array_TD) in zip(grid, found.items(), strict=True):
        shown_DT = array_TD[:steps, units].T
        if shown_DT.min() >= 0 and shown_DT.max() <= 1:
            colours = {"cmap": "viridis", "vmin": 0, "vmax": 1}
        else:
            most = max(float(np.percentile(np.abs(shown_DT), 99)), 1e-6)
            colours = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
        drawn = axes.imshow(shown_DT, aspect="auto", interpolation="nearest", **colours)
        figure.colorbar(drawn, ax=axes, pad=0.01, aspect=10)
        axes.set(yticks=[], ylabel=f"{name}\n{len(units)} units")
        axes.tick_params(axis="x", length=0)
    if tokens is None:
        grid[-1].set_xlabel("step")
    else:
        size = 8 if max(map(len, tokens)) == 1 else 6
        turned = 0 if max(map(len, tokens)) == 1 else 90
        names = tokens[:steps]
        grid[-1].set_xticks(range(len(names)), names, fontsize=size, rotation=turned)
        for text in grid[-1].get_xticklabels():
            text.set_parse_math(False)
    return _png(figure)


@matplotlib.rc_context(STYLE)
def training(found: dict[str, list[Row]], title: str) -> bytes:
    """Left the gradient at every step of the sequence (across) and of training (upward).

    Right the half-life of the error against the step of training.
    """
    figure, grid = _panels(len(found), 2, title, widths=(3, 1.3))
    for (path, rows), (left, right) in zip(found.items(), grid, strict=True):
        _heat(figure, left, rows, r"$\log_{10}\,\|\partial L/\partial h_t\|$", first=1)
        left.set(title=path, xlabel="step t of the sequence", ylabel="step of training")
        places = np.arange(len(rows))
        _half_lives(right, rows, places)
        told = places[:: math.ceil(len(rows) / LABELS)]
        left.set_yticks(told, [rows[place].label for place in told])
        right.set_yticks(told, [])
        right.set_ylim(-0.5, len(rows) - 0.5)
    return _png(figure)


@matplotlib.rc_context(STYLE)
def grid(rows: list[Row], title: str) -> bytes:
    """A line of a heat map for each config and layer: the last step's error, walked back."""
    figure = Figure(figsize=(WIDTH, 1.4 + 0.22 * max(len(rows), 4)), layout="constrained")
    figure.suptitle(title, fontsize=8, parse_math=False)
    left, right = figure.subplots(1, 2, width_ratios=(3, 1.3))
    relative = [row._replace(log=row.log - row.log[0]) for row in rows]
    _heat(figure, left, relative, r"$\log_{10}$ of the error", first=0)
    left.set(xlabel="steps before the last")
    left.invert_yaxis()
    places = np.arange(len(rows))
    _half_lives(right, rows, places)
    right.get_legend().remove()  # each line names its own
    right.set_yticks(places, [row.decay.verdict for row in rows])
    right.yaxis.tick_right()
    right.set_ylim(len(rows) - 0.5, -0.5)
    return _png(figure)


def spoken(decay: Decay) -> str:
    """A decay as one line."""
    if decay.blocked > 0.5:
        share = f"{decay.blocked:.0%}".replace("%", " %")
        return f"nothing arrives at the first step of {share} of the rows: {decay.verdict}"
    if math.isinf(decay.half_life):
        return f"no half-life, the error does not fall: {decay.verdict}"
    return f"half-life {decay.half_life:.3g} steps: {decay.verdict}"


def _heat(figure: Figure, axes: Axes, rows: list[Row], label: str, first: int) -> None:
    """first: the number of the first column."""
    widest = max(len(row.log) for row in rows)
    map_NT = np.full((len(rows), widest), np.nan)
    for number, row in enumerate(rows):
        map_NT[number, : len(row.log)] = _ten(row.log)
    finite = map_NT[np.isfinite(map_NT)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
    drawn = axes.imshow(
        np.where(np.isneginf(map_NT), low, map_NT),
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        vmin=max(low, high - 12),  # what is fainter than float32 can add is all the same
        vmax=max(high, low + 1e-6),
        origin="lower",
        extent=(first - 0.5, first + widest - 0.5, -0.5, len(rows) - 0.5),
    )
    figure.colorbar(drawn, ax=axes, label=label, pad=0.02)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], parse_math=False)


def _half_lives(axes: Axes, rows: list[Row], places: np.ndarray) -> None:
    """Points; an arrow at the edge where the error does not fall."""
    lives = np.asarray([row.decay.half_life for row in rows])
    finite = np.isfinite(lives) & (lives > 0)
    colours = {"vanishing": "C0", "stable": "C2", "exploding": "C3"}
    end = 3 * lives[finite].max() if finite.any() else 10.0
    for verdict, colour in colours.items():
        own = np.asarray([row.decay.verdict == verdict for row in rows])
        axes.plot(lives[own & finite], places[own & finite], "o", color=colour, ms=4)
        axes.plot(np.full(np.sum(own & ~finite), end), places[own & ~finite], ">", color=colour)
        if own.any():
            axes.plot([], [], "o", color=colour, ms=4, label=verdict)
    least = lives[finite].min() if finite.any() else 1.0
    axes.set_xscale("log")
    axes.set_xlim(10 ** math.floor(math.log10(least / 1.3)), end * 1.3)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("half-life [steps]" + ("" if finite.all() else "\n▸ does not fall"))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=6, borderpad=0)


def _line(mean_T: np.ndarray, decay: Decay) -> np.ndarray:
    """The fit, through the middle of the means."""
    finite_T = np.isfinite(mean_T)
    if not finite_T.any() or not math.isfinite(decay.rate):
        return np.full(len(mean_T), np.nan)
    lags_T = np.arange(len(mean_T))
    level = np.mean(mean_T[finite_T] - _ten(decay.rate) * lags_T[finite_T])
    return np.where(finite_T, level + _ten(decay.rate) * lags_T, np.nan)


def _ten(natural: np.ndarray) -> np.ndarray:
    return np.asarray(natural, float) / math.log(10)


def _drawn(array: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(array), array, np.nan)


def _panels(rows: int, columns: int, title: str, widths: tuple[float, ...] | None = None):
    figure = Figure(figsize=(WIDTH, 0.4 + 2.3 * rows), layout="constrained")
    figure.suptitle(title, fontsize=8, parse_math=False)
    return figure, figure.subplots(rows, columns, squeeze=False, width_ratios=widths)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
