"""MNIST (LeCun et al. 1998) read as sequences, from the four standard IDX files, gzipped or not."""

import dataclasses
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, sampling
from seqgen.errors import UsageError, not_among, out_of_range

SHAPES = {"rows": (28, 28), "pixels": (784, 1), "permuted": (784, 1)}  # order -> (T, E)
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
UNSIGNED_BYTES = 8  # the type code of an IDX file


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 128
    path: str = "$SEQGEN_DATA/mnist"  # folder of the four IDX files
    order: str = "rows"  # rows: 28 steps of 28 pixels; pixels, permuted: 784 steps of one
    permutation_seed: int = 0  # of the pixels' one fixed order where `order` is permuted
    valid_size: int = 5000  # the last so many training images are for validation

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            permutation_seed="[0, 4294967296)",
            valid_size="[1, inf)",
        )
        yield from not_among(self, "dataset.", order=SHAPES)


def make(options: Options) -> Dataset:
    """inputs [T, E]: pixels in [0, 1], from the top left or permuted; target: the digit.

    Sequential and permuted sequential MNIST as in Le, Jaitly & Hinton 2015. Raises UsageError for
    files that are missing or damaged.
    """
    sampling.check(options)
    folder = sampling.located(options.path, SOURCE)
    images, targets = _examples(folder, "train", options)
    if options.valid_size >= len(images):
        raise UsageError(
            f"dataset.valid_size={options.valid_size} leaves none of the {len(images)} training "
            f"images in {folder}"
        )
    test_images, test_targets = _examples(folder, "t10k", options)
    cut = len(images) - options.valid_size
    arrays = {
        "train": {"inputs": images[:cut], "targets": targets[:cut]},
        "valid": {"inputs": images[cut:], "targets": targets[cut:]},
        "test": {"inputs": test_images, "targets": test_targets},
    }
    length, size = SHAPES[options.order]
    spec = {
        "dataset": "mnist",
        "length": length,
        "streamed": False,
        "inputs": {"kind": "real", "size": size},
        "targets": {"kind": "category", "size": 10, "per": "sequence"},
        "classes": [str(digit) for digit in range(10)],
    }

    def read(fields):
        return fields | {"inputs": fields["inputs"].astype(jnp.float32) / 255.0}

    return sampling.stored(spec, arrays, options.batch_size, read)


def _examples(folder: Path, part: str, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 sequences [N, T, E] in the options' order, uint8 digits [N])."""
    images, images_file = _read_idx(folder, f"{part}-images-idx3-ubyte", (28, 28))
    digits, digits_file = _read_idx(folder, f"{part}-labels-idx1-ubyte", ())
    if len(images) != len(digits):
        raise UsageError(
            f"{images_file} has {len(images)} images, but {digits_file} has {len(digits)} labels"
        )
    if digits.max(initial=0) > 9:
        raise UsageError(f"{digits_file} has the label {digits.max()}, which is no digit")
    sequences = images.reshape(-1, *SHAPES[options.order])
    if options.order == "permuted":
        # RandomState's numbers never change (NEP 19), those of default_rng may
        order_T = np.random.RandomState(options.permutation_seed).permutation(sequences.shape[1])
        sequences = sequences[:, order_T]
    return sequences, digits


def _read_idx(folder: Path, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, Path]:
    """(uint8 array [N, *shape], its file). The header must say exactly what the file holds."""
    file = next((f for f in (folder / f"{name}.gz", folder / name) if f.is_file()), None)
    if file is None:
        raise UsageError(
            f"no {name}.gz or {name} in {folder}: download the four files of MNIST from {SOURCE} "
            "and set dataset.path to their folder"
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
