"""The pictures on a sweep's page: a field's effects, and the curves of its settings."""

import math
from typing import Any

from seqgen import curves, page, sweep_effects, sweep_results
from seqgen.sweep_results import Results, Summary

DRAWN = 24  # settings whose curves are there, the best
SEEN = 8  # of them that are seen at first
ABREAST = 3  # pictures of effects
TICKS = 8  # values of a field that are all marked on its axis


def effects(results: Results) -> Any:
    """For each field a panel: a dot for each trial over its value, and the means that compare."""
    fields = results.fields
    lines = math.ceil(len(fields) / ABREAST)
    figure = page.figure(height=60 + 290 * lines, showlegend=False)
    across = min(len(fields), ABREAST)
    figure.set_subplots(lines, across, shared_yaxes=True, vertical_spacing=0.3 / lines)
    done = sweep_results.done(results)
    for number, field in enumerate(fields):
        place = {"row": number // ABREAST + 1, "col": number % ABREAST + 1}
        found = sweep_results.values(results.trials, field)
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
        log = numeric and min(found) > 0 and max(found) >= 10 * min(found)
        figure.add_scatter(
            x=[shown(trial.chosen.get(field), numeric) for trial in done],
            y=[trial.best for trial in done],
            text=[sweep_results.trial_label(results, trial) for trial in done],
            hovertemplate="%{text}<br>%{y:.5g}<extra></extra>",
            mode="markers",
            marker={"color": page.COLOURS[0], "opacity": 0.45},
            **place,
        )
        effect = sweep_effects.effect(results, field)
        compared = [value for value in found if str(value) in effect.means]
        deviations = [effect.deviations[str(value)] for value in compared]
        reach = [e.high - e.value for e in deviations]
        figure.add_scatter(
            x=[shown(value, numeric) for value in compared],
            y=[effect.means[str(value)] for value in compared],
            error_y={"type": "data", "array": [r if math.isfinite(r) else 0.0 for r in reach]},
            mode="lines+markers",
            line={"color": page.COLOURS[3]},
            hovertemplate="mean %{y:.5g}<extra></extra>",
            **place,
        )
        kind = "log" if log else "linear" if numeric else "category"
        figure.update_xaxes(title=field, type=kind, **place)
        if numeric and len(found) <= TICKS:
            figure.update_xaxes(tickvals=found, ticktext=list(map(str, found)), **place)
    watched = curves.labelled(results.watched, results.meanings)
    figure.update_yaxes(title=f"valid {watched}", col=1)
    axes = [f"yaxis{n}" if n > 1 else "yaxis" for n in range(1, lines * across + 1)]
    return figure.update_layout(updatemenus=[page.scales(*axes)])


def shown(value: Any, numeric: bool) -> Any:
    return value if numeric else str(value)


def learning(results: Results, ranked: list[Summary]) -> str:
    """Curves grouped by setting; a click on a setting's name hides or shows all of its own."""
    if not page.has_plots():
        return page.paragraph(page.WITHOUT)
    drawn = [one for one in ranked if one.trials][:DRAWN]
    if not drawn:
        return ""
    numbers = {"valid": results.watched, "train": "loss"}
    figure, kinds = page.figure(height=520, legend={"groupclick": "togglegroup"}), []
    for place, one in enumerate(drawn):
        for split, name in numbers.items():
            visible = True if place < SEEN else "legendonly"
            own = [curves.series(trial.records, split, name) for trial in one.trials]
            kinds += [(split, visible)] * (len(own) + 1)
            of_setting(figure, one, own, page.COLOURS[place % len(page.COLOURS)])
    seen = {
        f"{split} {name.replace('_', ' ')}": [v if kind == split else False for kind, v in kinds]
        for split, name in numbers.items()
    }
    titles = [f"{s} {curves.labelled(n, results.meanings)}" for s, n in numbers.items()]
    for trace, visible in zip(figure.data, next(iter(seen.values())), strict=True):
        trace.visible = visible
    scales = page.scales("yaxis") | {"x": 0.5, "xanchor": "center"}
    figure.update_layout(
        xaxis={"title": "step"},
        yaxis={"title": titles[0]},
        updatemenus=[page.dropdown(seen, titles), scales],
    )
    left = sum(bool(one.trials) for one in ranked) - len(drawn)
    words = "Thick: the mean over seeds. Thin: each trial."
    return page.paragraph(words + (f" {left} settings are left out." * bool(left))) + page.plot(
        figure
    )


def of_setting(
    figure: Any, one: Summary, own: list[tuple[list[int], list[float]]], colour: str
) -> None:
    """Adds the mean over a setting's trials, at the steps that all of them have, and each trial."""
    by_step = [dict(zip(*series, strict=True)) for series in own]
    steps = [step for step in by_step[0] if all(step in values for values in by_step)]
    means = [math.fsum(values[step] for values in by_step) / len(by_step) for step in steps]
    group = {"legendgroup": one.label, "hovertemplate": "%{y:.5g}"}
    figure.add_scatter(
        x=steps,
        y=means,
        name=one.label,
        mode=mode(steps),
        line={"color": colour, "width": 2.5},
        **group,
    )
    for trial, (x, y) in zip(one.trials, own, strict=True):
        seed = trial.chosen.get(sweep_results.SEED)
        figure.add_scatter(
            x=x,
            y=y,
            name=f"{one.label}, seed {seed}",
            showlegend=False,
            mode=mode(x),
            opacity=0.4,
            line={"color": colour, "width": 1},
            **group,
        )


def mode(steps: list[int]) -> str:
    """How a curve is drawn: a line of one point is not seen."""
    return "lines" if len(steps) > 1 else "markers"
