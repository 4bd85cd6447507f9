"""Text files that people have, gzipped or not; what is wrong with one is said with its line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from seqgen.errors import UsageError


def found(folder: Path, name: str) -> Path | None:
    """The file of that name in the folder, gzipped or not."""
    files = (folder / f"{name}.gz", folder / name)
    return next((file for file in files if file.is_file()), None)


def text(file: Path) -> str:
    """What a UTF-8 file holds. Raises UsageError where that is nothing, or no text."""
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if file.suffix == ".gz" else content
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{file} line {line} is not UTF-8 text: byte {error.start} can't be decoded"
        ) from error
    except (EOFError, OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{file} can't be read: {reason}") from error
    if not decoded:
        raise UsageError(f"{file} is empty")
    return decoded


def lines(file: Path) -> Iterator[tuple[str, str]]:
    """(place, line); a newline ends a line and nothing else does, unlike for `splitlines`."""
    for number, line in enumerate(split(text(file)), 1):
        yield f"{file} line {number}", line


def split(content: str) -> Iterator[str]:
    """The lines of a text, without their ends."""
    return (line.removesuffix("\r") for line in content.removesuffix("\n").split("\n"))
