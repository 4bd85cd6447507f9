"""Tables of numbers as text: the files that people have, and single lines."""

import re
from pathlib import Path

import numpy as np

from seqgen.datasets import files
from seqgen.errors import UsageError

SEPARATOR = re.compile(r"[,;\t]")
LARGEST = float(np.finfo(np.float32).max)


def read(file: Path, columns: int) -> np.ndarray:
    """float64 [N, columns]: the numbers of a file, one row a line.

    A first line without any number is a header; blank lines are nothing. Raises UsageError, with
    file and line, for all else that is no such row, and for a file without rows.
    """
    rows, first = [], True
    for place, line in files.lines(file):
        if not line.strip():
            continue
        if not (first and is_header(line)):
            rows.append(numbers(place, line, columns))
        first = False
    if not rows:
        raise UsageError(f"{file} has no rows")
    return np.asarray(rows)


def written(rows_NE: np.ndarray) -> str:
    """A line for each row, each number the shortest that reads as the same number of 32 bits."""
    return "".join(",".join(map(str, row)) + "\n" for row in np.asarray(rows_NE, np.float32))


def is_header(line: str) -> bool:
    """Whether none of the fields is a number."""

    def is_number(field):
        try:
            float(field)
        except ValueError:
            return False
        return True

    return not any(map(is_number, SEPARATOR.split(line)))


def numbers(place: str, line: str, columns: int) -> list[float]:
    """The numbers of one line. Raises UsageError that begins with its place."""
    fields = [field.strip() for field in SEPARATOR.split(line)]
    if len(fields) != columns:
        raise UsageError(
            f"{place} has {len(fields)} field{'s' * (len(fields) > 1)}, but {columns} are needed, "
            "separated by commas, semicolons or tabs"
        )
    values = []
    for field in fields:
        try:
            values.append(float(field))
        except ValueError as error:
            raise UsageError(f"{place} has {field[:40]!r}, which is not a number") from error
        if not abs(values[-1]) <= LARGEST:
            raise UsageError(f"{place} has {field[:40]!r}, which is no finite number of 32 bits")
    return values
