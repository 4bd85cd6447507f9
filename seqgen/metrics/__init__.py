"""Statistics of sequences and samples: pure functions of arrays, no input or output."""

from typing import Any, NamedTuple


class Meaning(NamedTuple):
    """What a reported number means."""

    unit: str  # empty for a number without one
    larger_is_better: bool


def target_unit(spec: dict[str, Any]) -> str | None:
    """What one target of a text is, such as a character; None where targets are not its tokens."""
    return spec.get("unit") if spec["targets"]["per"] == "step" else None


def described(metrics: dict[str, float], meanings: dict[str, Meaning]) -> str:
    """Numbers with their units, in the meanings' order, for a line that a person reads."""
    return ", ".join(
        f"{name} {metrics[name]:.4f} {meaning.unit}".rstrip()
        for name, meaning in meanings.items()
        if name in metrics
    )
