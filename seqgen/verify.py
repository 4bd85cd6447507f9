"""Is this file generated, by what, and is it what its record says? Without a mark: unknown."""

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from seqgen import decoding, generate, run, run_directory
from seqgen.errors import UsageError

NEEDED = {"generated", "file_sha256", "seed", "index", "step", "prompt", "decoding"}
REMOVABLE = "A mark can be removed: its absence never shows that a file is real."


class Finding(Enum):
    UNKNOWN = "unknown"
    GENERATED = "generated"  # the record fits the file and could be made again
    # the record fits the file; run or checkpoint is missing
    UNREPEATED = "generated, not made again"
    ALTERED = "altered"  # the file is not the one that was marked, or not what its record makes


class Verdict(NamedTuple):
    finding: Finding
    sentence: str


def verify(file: Path) -> Verdict:
    """Checks the file's hash against its record, makes the sample again, and compares the bytes."""
    if not file.is_file():
        raise UsageError(f"{file} does not exist")
    beside = generate.record_of(file)
    if not beside.is_file():
        return Verdict(Finding.UNKNOWN, f"no mark found beside {file}. {REMOVABLE}")
    record = run_directory.read_json(beside)
    complete = isinstance(record, dict) and record.keys() >= NEEDED
    if not complete or record["generated"] is not True:
        return Verdict(Finding.UNKNOWN, f"{beside} is no record of a generated file. {REMOVABLE}")
    if run_directory.file_digest(file) != record["file_sha256"]:
        return Verdict(Finding.ALTERED, f"{file} has changed since it was generated")
    source = f"seed {record['seed']}, index {record['index']}, step {record['step']}"
    try:
        text, now = again(file.parent.parent, record)
    except UsageError as error:
        return Verdict(Finding.UNREPEATED, f"its record fits ({source}), but: {error}")
    if any(record[name] != now[name] for name in now):
        changed = ", ".join(name for name in now if record[name] != now[name])
        return Verdict(Finding.UNREPEATED, f"the run beside it is another one ({changed} differ)")
    if text.encode() != file.read_bytes():
        return Verdict(Finding.ALTERED, f"its record makes another text here ({source})")
    return Verdict(Finding.GENERATED, f"made again byte for byte: {source}")


def again(workdir: Path, record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(the text that the record describes, the mark it would get today)."""
    names = {field.name for field in dataclasses.fields(decoding.Options)}
    if not isinstance(record.get("decoding"), dict) or set(record["decoding"]) != names:
        raise UsageError("its decoding options are not those of this version")
    opened = run.load(workdir)
    found = run.parameters(opened, record["step"])
    options = decoding.Options(**record["decoding"])
    index, seed, prompt = record["index"], record["seed"], record["prompt"]
    text = generate.sample(opened, found, range(index, index + 1), prompt, options, seed)[0]
    return text, generate.mark(opened, found, prompt, options, seed, index)
