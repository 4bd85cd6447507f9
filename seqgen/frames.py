"""`frames/`: a game of points in the plane as it moved, one small file of numbers for each moment.

`train.py` records them, `animation.py` draws them. A frame depends on the parameters at its step
alone (those that are trained, not their averages), so a run that is killed and resumed leaves the
same files as one that is not.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from seqgen import processes, run_directory
from seqgen.datasets import Dataset
from seqgen.errors import UsageError
from seqgen.objectives import Objective, Params

REALS = 1000  # real points shown
SIDE = 48  # places along each side of the field
MARGIN = 0.25  # of the real points' extent, beyond them on every side
REAL = "real"  # the file with what is the same at every moment


class Moment(NamedTuple):
    """One frame."""

    step: int
    fake: np.ndarray  # [M, 2], made of the same noise at every moment
    pull: np.ndarray  # [M, 2], where the generator's loss would have each of them go
    field: np.ndarray  # [S, S], D(x) in [0, 1] over the plane, row by row from below
    d_real: float  # means of D
    d_fake: float


class Recording(NamedTuple):
    """What `frames/` holds."""

    real: np.ndarray  # [N, 2]
    edges: tuple[float, float, float, float]  # of the field: left, right, lower, upper
    steps: list[int]


def recorder(
    workdir: Path, every: int | None, objective: Objective, dataset: Dataset, arrays: Any
) -> Callable[[int, Params], None]:
    """(step, parameters) -> None: writes a frame where one is due; none is where `every` is None"""
    if every is None:
        return lambda step, params: None
    folder = run_directory.folder(workdir, "frames")
    real_N2 = real_points(dataset, arrays)
    edges, place_X2 = plane_around(real_N2)
    if processes.leads():
        write(folder, REAL, {"real": real_N2, "edges": edges})
    look = jax.jit(objective.frame)

    def record(step: int, params: Params) -> None:
        if step % every == 0:
            moment = jax.device_get(look(params, real_N2, place_X2))
            if processes.leads():
                write(folder, f"{step:09d}", moment)

    return record


def real_points(dataset: Dataset, arrays: Any) -> np.ndarray:
    """The first points of validation, [N, 2]."""
    look = jax.jit(lambda arrays, index: dataset.batch(arrays, "valid", index, None))
    points, count = [], 0
    for index in range(dataset.num_batches["valid"]):
        batch = look(arrays, index)
        points.append(np.asarray(batch["inputs"])[np.asarray(batch["weight_B"]) > 0])
        count += len(points[-1])
        if count >= REALS:
            break
    return np.concatenate(points)[:REALS]


def plane_around(real_N2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(left, right, lower and upper edge of the field, its places [S * S, 2] row by row)."""
    low_2, high_2 = real_N2.min(axis=0), real_N2.max(axis=0)
    room_2 = MARGIN * np.maximum(high_2 - low_2, 1e-3)  # there may be but one point
    low_2, high_2 = low_2 - room_2, high_2 + room_2
    x_S, y_S = (np.linspace(*ends, SIDE) for ends in zip(low_2, high_2, strict=True))
    place_X2 = np.stack(np.meshgrid(x_S, y_S), axis=-1).reshape(-1, 2)
    edges = np.stack([low_2, high_2], axis=1).reshape(-1)
    return edges, place_X2.astype(real_N2.dtype)


def write(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)  # without the time of day: the same arrays are the same bytes
    run_directory.write_bytes(folder / f"{name}.npz", content.getvalue())


def recording(workdir: Path) -> Recording | None:
    """What a run has recorded so far, None if that is nothing."""
    folder = workdir / "frames"
    steps = sorted(int(file.stem) for file in folder.glob("[0-9]*.npz"))
    if not steps:
        return None
    same = read(folder / f"{REAL}.npz", ("real", "edges"))
    return Recording(same["real"], tuple(same["edges"].tolist()), steps)


def moment(workdir: Path, step: int) -> Moment:
    """The frame of a step."""
    found = read(workdir / "frames" / f"{step:09d}.npz", Moment._fields[1:])
    means = {name: float(found[name]) for name in ("d_real", "d_fake")}
    return Moment(step, **found | means | {"field": found["field"].reshape(SIDE, SIDE)})


def read(file: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Named arrays of a file. Raises UsageError where it is missing or damaged."""
    try:
        with np.load(file) as stored:
            return {name: stored[name] for name in names}
    except FileNotFoundError as error:
        raise UsageError(f"{file} does not exist") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{file} is damaged: {error}") from error
