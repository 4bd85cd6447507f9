"""Small files in the layout of the piano rolls, for tests: every frame tells where it stands."""

import gzip
import io

import numpy as np
from scipy.io import savemat

from seqgen.datasets.music import FILES

LENGTHS = {"train": (9, 1, 30, 4, 17, 2, 8, 40), "valid": (5, 12), "test": (2, 3, 25, 6, 6, 18)}
LOWEST, BITS = 36, 10  # the keys that spell a frame's number


def frames(split: str) -> list[np.ndarray]:
    """The pieces of a split, [frames, 88]. Their frames are numbered 1, 2, …, in binary."""
    count = sum(LENGTHS[split])
    whole = np.zeros((count, 88))
    whole[:, LOWEST : LOWEST + BITS] = (np.arange(1, count + 1)[:, None] >> np.arange(BITS)) & 1
    return np.split(whole, np.cumsum(LENGTHS[split])[:-1])


def numbers(frames_TF: np.ndarray, lowest: int = LOWEST) -> np.ndarray:
    """Which frames these are; `lowest` is where the first key of a transposed number is."""
    return (frames_TF[..., lowest : lowest + BITS] @ (1 << np.arange(BITS))).astype(int)


def cells(pieces: list[np.ndarray]) -> np.ndarray:
    """A MATLAB cell array."""
    array = np.empty((1, len(pieces)), object)
    for number, piece in enumerate(pieces):
        array[0, number] = piece
    return array


def mat_bytes(**changes) -> bytes:
    """The content of a file; a change gives a variable by its name, None leaves it out."""
    variables = {f"{split}data": cells(frames(split)) for split in LENGTHS} | changes
    content = io.BytesIO()
    savemat(content, {name: v for name, v in variables.items() if v is not None})
    return content.getvalue()


def write_music(folder, collection: str = "nottingham", zipped: bool = False, **changes) -> str:
    """Writes a collection's file; returns the folder's path."""
    content = mat_bytes(**changes)
    name = f"{FILES[collection]}.mat"
    if zipped:
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    else:
        (folder / name).write_bytes(content)
    return str(folder)
