"""Pictures as arrays: out of the files that people have, and as text in a spec."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqgen.errors import UsageError, require

DEEPEST = 2**16 - 1  # white in a grey picture of 16 bits


def read(file: Path, shape: Sequence[int]) -> np.ndarray:
    """uint8 [H, W, C] of an image file, 3 channels being colours and 1 grey.

    A picture is turned as its file says, and is on white where one sees through it. One of another
    size is scaled to cover the shape, and what juts out is cut off evenly. Raises UsageError where
    the file holds no picture, or a broken one.
    """
    image = require("PIL.Image", "data")
    height, width, channels = shape
    mode = {1: "L", 3: "RGB"}[channels]
    try:
        with image.open(file) as opened:
            side = max(width, height)  # of a picture that may yet be turned
            opened.draft(mode, (side, side))  # a large JPEG is not decoded to its last pixel
            picture = _opaque(require("PIL.ImageOps", "data").exif_transpose(opened)).convert(mode)
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file} can't be read as a picture: {reason}") from error
    if picture.size != (width, height):
        fit = require("PIL.ImageOps", "data").fit
        picture = fit(picture, (width, height), image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(shape)


def _opaque(picture: Any) -> Any:
    """A picture of PIL that `convert` would spoil: it cuts deep greys off and forgets the alpha."""
    image = require("PIL.Image", "data")
    if picture.mode.startswith("I"):  # 16 bits; also in a mode of 32, by the file's format
        grey_HW = np.asarray(picture).astype(np.float64).clip(0, DEEPEST)
        return image.fromarray(np.uint8(np.round(grey_HW * (255 / DEEPEST))))
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return image.alpha_composite(image.new("RGBA", picture.size, "white"), picture)


def form(shape: Sequence[int]) -> dict[str, Any]:
    """What a spec says of inputs [H, W, C], pictures, or [T, E], sequences made of pictures."""
    if len(shape) == 3:
        return {"inputs": {"kind": "image", "shape": list(shape)}}
    length, size = shape
    return {"length": length, "inputs": {"kind": "real", "size": size}}


def packed(pictures: np.ndarray) -> list[str]:
    """Pictures uint8 [N, H, W, C] as JSON: the bytes of each in base 64."""
    return [base64.b64encode(np.ascontiguousarray(p).tobytes()).decode() for p in pictures]


def unpacked(texts: list[str], shape: Sequence[int]) -> np.ndarray:
    """The inverse of `packed`."""
    return np.stack([np.frombuffer(base64.b64decode(t), np.uint8).reshape(shape) for t in texts])


def scaled(pictures: np.ndarray) -> np.ndarray:
    """float32 in [0, 1], as a model reads pictures, of uint8 arrays of either library."""
    return pictures.astype(np.float32) / np.float32(255)
