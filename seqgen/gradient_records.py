"""The numbers of a diagnosis: measured of each recurrent layer, for its record and for a person."""

import csv
import io
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from seqgen import gradient_flow, gradient_pictures, run_directory, walks
from seqgen.gradient_flow import Flow, Lens
from seqgen.metrics import gradients
from seqgen.objectives import Batch


class Seen(NamedTuple):
    """All that is measured of one recurrent layer in one direction."""

    flow: Flow
    decay: gradients.Decay
    spread: gradient_flow.Spread
    bound: gradient_flow.Bound | None
    slopes: dict[str, gradients.Slopes]
    told: gradient_flow.Told


def seen(lens: Lens, params: Any, batch: Batch) -> dict[str, Seen]:
    found, flows = lens.look(params, batch)
    result = {}
    for path in gradient_flow.in_order(flows):
        layer, walk, flow = lens.layers[path], found[path], jax.device_get(flows[path])
        told = gradient_flow.told(layer, walk)
        result[path] = Seen(
            flow,
            decay(flow),
            gradient_flow.spread(layer, walk),
            gradient_flow.bound(layer, walk),
            gradient_flow.slopes(layer, flow.real, told),
            told,
        )
    return result


def decay(flow: Flow) -> gradients.Decay:
    return gradients.decay(gradients.by_lag(flow.last, flow.before_last))


def facts(layer: walks.Layer, path: str, one: Seen) -> dict[str, Any]:
    """A layer's numbers for the record; logarithms to base 10 where they say so."""
    o, spread = layer.options, one.spread
    last_TB = gradients.by_lag(one.flow.last, one.flow.before_last)
    total_TB = np.where(one.flow.real, one.flow.total, np.nan)
    singular_NK = np.mean(spread.singular, axis=1) / math.log(10)
    return {
        "layer": path,
        "cell": o.cell,
        "activation": o.activation if o.cell == "rnn" else None,
        "units": layer.units,
        "direction": "backward" if layer.reverse else "forward",
        "steps": len(last_TB),
        "decay": one.decay._asdict(),
        "half_life_of_each_example": gradients.half_lives(last_TB),
        "gradient_log10_by_step": gradients.means(total_TB) / math.log(10),
        "gradient_log10_by_step_of_each_example": total_TB.T / math.log(10),
        "last_error_log10_by_steps_back": gradients.means(last_TB) / math.log(10),
        "jacobian": {
            "lags": spread.lags,
            "exact": spread.exact,
            "largest_log10": singular_NK[:, 0],
            "smallest_log10": singular_NK[:, -1] if spread.exact else None,
            "bound": None if one.bound is None else one.bound._asdict(),
        },
        "lyapunov_nats_per_step": np.mean(spread.exponents, axis=0),
        "gates": {name: value._asdict() for name, value in one.slopes.items()},
    }


def plain(value: Any) -> Any:
    """For JSON: six digits, and NaN and infinities as the words of `run_directory.NON_FINITE`."""
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, np.ndarray | jax.Array | list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        rounded = float(f"{float(value):.6g}")
        return run_directory.spelled({"": rounded})[""]
    return value.item() if isinstance(value, np.generic) else value


def spoken(layer: dict[str, Any]) -> str:
    """A layer's numbers as one line for a person."""
    decay = gradients.Decay(**layer["decay"])
    exponent = layer["lyapunov_nats_per_step"][0]
    return (
        f"{layer['layer']}: {gradient_pictures.spoken(decay)} ({decay.halvings:+.1f} halvings over "
        f"a sequence, threshold {gradients.HALVINGS:g}); largest Lyapunov exponent "
        f"{exponent:+.3f} nats a step"
    )


def spreadsheet(table: list[dict[str, Any]]) -> str:
    """The grid's points as CSV, a line for each layer."""
    numbers = ("half_life", "rate", "halvings", "blocked", "verdict")
    lines = [[*table[0]["chosen"], "layer", "steps", *numbers, "lyapunov", "bound", "saturated"]]
    for point in table:
        bound = point["jacobian"]["bound"]
        gates = [gate["closed"] + gate["opened"] for gate in point["gates"].values()]
        lines.append(
            [
                *point["chosen"].values(),
                point["layer"],
                point["steps"],
                *(point["decay"][name] for name in numbers),
                point["lyapunov_nats_per_step"][0],
                "" if bound is None else bound["step"],
                float(np.mean(gates)) if gates else "",
            ]
        )
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([plain(v) for v in line] for line in lines)
    return text.getvalue()
