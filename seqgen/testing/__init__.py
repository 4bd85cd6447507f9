"""A suite for a cell or a generating model of one's own: what ours promise, it is held to.

    from seqgen.testing import check_cell
    check_cell(cell)

Each property is a function whose docstring says what holds and what usually breaks it. A check
calls them in an order in which the first to fail names the fault, in float64 whatever the settings
of the program, and raises an AssertionError with that docstring and the numbers that differ.
"""

from collections.abc import Callable

import jax

from seqgen.cells import Cell
from seqgen.testing import case, steps, verdict, walks
from seqgen.testing.case import loop
from seqgen.testing.generate import check_generate

__all__ = ["check_cell", "check_generate", "loop"]
OF_A_CELL = steps.OF_A_STEP + walks.OF_A_WALK


def check_cell(
    cell: Cell,
    properties: tuple[Callable[[case.Case], None], ...] = OF_A_CELL,
    *,
    rows: int = 3,
    steps: int = 5,
    inputs: int = 3,
    units: int = 4,
) -> None:
    """Raises an AssertionError for the first property that the cell does not have.

    Args:
      cell: any Cell.
      properties: those to look at, functions of `testing.steps` and `testing.walks`.
      rows, steps, inputs, units: sizes of what it is tried on: B, T, E, D.
    """
    with jax.enable_x64(True):
        tried = f"x_BTE {[rows, steps, inputs]} in float64, {units} units, {cell.num_gates} gates"
        verdict.check(properties, case.case_of(cell, rows, steps, inputs, units), tried)
