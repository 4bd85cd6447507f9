"""Small files in MNIST's layout, for tests."""

import gzip
import struct

import numpy as np


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(folder, train_size: int, test_size: int, zipped: bool = True) -> str:
    """Writes the four files with random pixels and digits; returns the folder's path."""
    random = np.random.RandomState(0)
    for part, size in (("train", train_size), ("t10k", test_size)):
        images = random.randint(0, 256, (size, 28, 28))
        digits = random.randint(0, 10, (size,))
        for name, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", digits)):
            if zipped:
                (folder / f"{part}-{name}.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
            else:
                (folder / f"{part}-{name}").write_bytes(idx_bytes(array))
    return str(folder)
