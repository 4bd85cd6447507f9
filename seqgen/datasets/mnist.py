"""MNIST (LeCun et al. 1998) as sequences or as pictures, from the four standard IDX files, gzipped
or not; and Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), whose files have the same layout.
"""

import dataclasses
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, held_out, images, sampling
from seqgen.errors import UsageError, not_among, out_of_range

# order -> (T, E) or (H, W, C)
SHAPES = {"rows": (28, 28), "pixels": (784, 1), "permuted": (784, 1), "image": (28, 28, 1)}
SOURCES = {
    "digits": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion": "https://github.com/zalandoresearch/fashion-mnist",
}
CLASSES = {
    "digits": [str(digit) for digit in range(10)],
    "fashion": [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ],
}
UNSIGNED_BYTES = 8  # the type code of an IDX file


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 128
    path: str = "$SEQGEN_DATA/mnist"  # folder of the four IDX files
    labels: str = "digits"  # what the files' labels mean, which they do not tell: digits, fashion
    order: str = "rows"  # rows: 28 steps of 28 pixels; pixels, permuted: 784 of one; image: none
    permutation_seed: int = 0  # of the pixels' one fixed order where `order` is permuted
    valid_size: int = 5000  # the last so many training images are for validation
    train_size: int | None = None  # the first so many are to train on; None: all the others
    held_out: str | None = None  # a class that train and valid lack, and test has: an anomaly

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            permutation_seed="[0, 4294967296)",
            valid_size="[1, inf)",
            train_size="[1, inf)",
        )
        yield from not_among(self, "dataset.", order=SHAPES, labels=CLASSES)


def make(options: Options) -> Dataset:
    """inputs [T, E] or [H, W, 1]: pixels in [0, 1], from the top left or permuted; target: the
    digit, or the kind of clothing.

    Sequential and permuted sequential MNIST as in Le, Jaitly & Hinton 2015. Raises UsageError for
    files that are missing or damaged.
    """
    sampling.check(options)
    folder = sampling.located(options.path, SOURCES[options.labels])
    inputs, targets = _examples(folder, "train", options)
    if options.valid_size >= len(inputs):
        raise UsageError(
            f"dataset.valid_size={options.valid_size} leaves none of the {len(inputs)} training "
            f"images in {folder}"
        )
    cut = len(inputs) - options.valid_size
    size = cut if options.train_size is None else options.train_size
    if size > cut:
        raise UsageError(f"dataset.train_size={size}, but {folder} leaves {cut} to train on")
    test_inputs, test_targets = _examples(folder, "t10k", options)
    arrays = {
        "train": {"inputs": inputs[:size], "targets": targets[:size]},
        "valid": {"inputs": inputs[cut:], "targets": targets[cut:]},
        "test": {"inputs": test_inputs, "targets": test_targets},
    }
    spec = {
        "dataset": "mnist",
        "streamed": False,
        **images.form(SHAPES[options.order]),
        "targets": {"kind": "category", "size": 10, "per": "sequence"},
        "classes": CLASSES[options.labels],
    }

    def read(fields):
        return fields | {"inputs": fields["inputs"].astype(jnp.float32) / 255.0}

    spec, arrays = held_out.leave_out(spec, arrays, options.held_out)
    return sampling.stored(spec, arrays, options.batch_size, read)


def _examples(folder: Path, part: str, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 inputs [N, T, E] or [N, H, W, 1] in the options' order, uint8 labels [N])."""
    source = SOURCES[options.labels]
    pictures, pictures_file = _read_idx(folder, f"{part}-images-idx3-ubyte", (28, 28), source)
    labels, labels_file = _read_idx(folder, f"{part}-labels-idx1-ubyte", (), source)
    if len(pictures) != len(labels):
        raise UsageError(
            f"{pictures_file} has {len(pictures)} images, but {labels_file} has {len(labels)} "
            "labels"
        )
    if labels.max(initial=0) > 9:
        raise UsageError(f"{labels_file} has the label {labels.max()}, which is not from 0 to 9")
    return arranged(options, pictures), labels


def arranged(options: Options, pictures: Any) -> Any:
    """Pictures [N, 28, 28, …] as the inputs of these options, [N, T, E] or [N, H, W, 1]."""
    inputs = pictures.reshape(-1, *SHAPES[options.order])
    if options.order == "permuted":
        # RandomState's numbers never change (NEP 19), those of default_rng may
        order_T = np.random.RandomState(options.permutation_seed).permutation(inputs.shape[1])
        inputs = inputs[:, order_T]
    return inputs


def _read_idx(
    folder: Path, name: str, shape: tuple[int, ...], source: str
) -> tuple[np.ndarray, Path]:
    """(uint8 array [N, *shape], its file). The header must say exactly what the file holds."""
    file = next((f for f in (folder / f"{name}.gz", folder / name) if f.is_file()), None)
    if file is None:
        raise UsageError(
            f"no {name}.gz or {name} in {folder}: download the four files from {source} and set "
            "dataset.path to their folder"
        )
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise UsageError(f"{file} can't be read ({error}); download it again") from error
    axes = 1 + len(shape)
    begin = 4 + 4 * axes
    header = np.frombuffer(content[:begin], ">u4") if len(content) >= begin else None
    if header is None or header[0] != UNSIGNED_BYTES << 8 | axes:
        raise UsageError(f"{file} is not an IDX file of unsigned bytes with {axes} axes")
    count, *rest = (int(size) for size in header[1:])
    if tuple(rest) != shape:
        raise UsageError(f"{file} holds items of shape {tuple(rest)}, not {shape}")
    if count == 0 or len(content) != begin + count * int(np.prod(shape)):
        raise UsageError(
            f"{file} announces {count} items of shape {shape}, but has {len(content) - begin} "
            "bytes of them; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=begin).reshape(count, *shape), file
