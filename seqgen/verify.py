"""Is this file generated, by what, and is it what its record says? Without a mark: unknown.

A sample is made again. What comes with one, with an evaluation or with a report, such as a picture
of attention, is compared with its record alone.
"""

import dataclasses
import typing
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from seqgen import around, backend, decoding, environment, generate, run, run_directory, samples
from seqgen.errors import UsageError

# What a record must say, and in which type; a float may be written as an integer.
SOURCE = {
    "generated": bool,
    "run_sha256": str,
    "config_sha256": str,
    "step": int,
    "file_sha256": str,
}
MARK = SOURCE | {  # of a sample
    "checkpoint_sha256": str,
    "seed": int,
    "index": int,
    "prompt": str | None,
    "decoding": dict,
    "environment": dict,
}
BESIDE = SOURCE | {"what": str}  # of what comes with a sample, an evaluation or a report
REMOVABLE = "A mark can be removed: its absence never shows that a file is real."


class Finding(Enum):
    UNKNOWN = "unknown"
    GENERATED = "generated"  # the record fits the file and could be made again
    # the record fits the file; it is no sample, or run or checkpoint is missing, or this machine
    # computes otherwise
    UNREPEATED = "generated, not made again"
    ALTERED = "altered"  # the file is not the one that was marked, or not what its record makes


class Verdict(NamedTuple):
    finding: Finding
    sentence: str


def verify(file: Path) -> Verdict:
    """Checks the file's hash against its record, makes the sample again, and compares the bytes."""
    if file.is_dir():
        raise UsageError(f"{file} is a directory; name one file in it")
    if not file.is_file():
        raise UsageError(f"{file} does not exist")
    beside = generate.record_of(file)
    if not beside.is_file():
        return Verdict(Finding.UNKNOWN, f"no mark found beside {file}. {REMOVABLE}")
    mark = read(beside)
    if mark is None:
        return Verdict(Finding.UNKNOWN, f"{beside} is no record of a generated file. {REMOVABLE}")
    if run_directory.file_digest(file) != mark["file_sha256"]:
        return Verdict(Finding.ALTERED, f"{file} has changed since it was generated")
    if "what" in mark:
        sentence = (
            f"its record fits ({mark['what']}, step {mark['step']}); only samples are made again"
        )
        return Verdict(Finding.UNREPEATED, sentence)
    source = f"seed {mark['seed']}, index {mark['index']}, step {mark['step']}"
    try:
        same = again(file.parent.parent, mark) == file.read_bytes()
    except UsageError as error:
        return Verdict(Finding.UNREPEATED, f"its record fits ({source}), but: {error}")
    if same:
        return Verdict(Finding.GENERATED, f"made again byte for byte: {source}")
    there = environment.differences(mark["environment"], environment.record(devices=True))
    if there:  # where rounding may differ, another text shows nothing
        sentence = f"its record fits ({source}), but makes another text here: {'; '.join(there)}"
        return Verdict(Finding.UNREPEATED, sentence)
    return Verdict(Finding.ALTERED, f"its record makes another text here ({source})")


def read(file: Path) -> dict[str, Any] | None:
    """The record of a generated file, None if the file holds anything else."""
    try:
        mark = run_directory.read_json(file)
    except UsageError:
        return None
    if not isinstance(mark, dict) or mark.get("generated") is not True:
        return None
    kinds, options = BESIDE if "what" in mark else MARK, typing.get_type_hints(decoding.Options)
    if "around" in mark:
        kinds = kinds | around.MARK
    if not (mark.keys() >= kinds.keys() and all(fits(mark[name], kinds[name]) for name in kinds)):
        return None
    if "what" in mark:
        return mark
    if not all(fits(v, options.get(n)) for n, v in mark["decoding"].items()):
        return None
    return mark if 0 <= mark["seed"] < 2**32 and 0 <= mark["index"] < 2**31 else None


def fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a type or of one of a union's; a kind that is unknown fits all."""
    kinds = typing.get_args(kind) or (kind,)
    return kind is None or type(value) in kinds or (type(value) is int and float in kinds)


def again(workdir: Path, mark: dict[str, Any]) -> bytes:
    """The sample that the mark describes. Raises UsageError where it can't be made again."""
    names = {field.name for field in dataclasses.fields(decoding.Options)}
    if mark["decoding"].keys() != names:
        raise UsageError("its decoding options are not those of this version")
    opened = run.load(workdir)
    found = run.parameters(opened, mark["step"])
    differ = [n for n, digest in generate.digests(opened, found).items() if mark[n] != digest]
    if differ:
        raise UsageError(f"the run beside it is another one ({', '.join(differ)} differ)")
    if "around" in mark:
        return around.again(opened, found, mark)
    options = decoding.Options(**mark["decoding"])
    index, prompt, seed = mark["index"], mark["prompt"], mark["seed"]
    shown = mark.get("input_sha256")  # of the picture that the prompt names
    if shown is not None:
        picture = Path(prompt or "")
        if not picture.is_file() or run_directory.file_digest(picture) != shown:
            raise UsageError(f"the picture that it describes, {picture}, is gone or another one")
    return samples.make(opened, found, range(index, index + 1), prompt, options, seed)[0].content


def main(file: Path, *, compilation_cache: bool) -> Verdict:
    """The verb: verifies and prints what it finds."""
    backend.start(samples.BLOCK, compilation_cache=compilation_cache)  # as when it was generated
    verdict = verify(file)
    print(f"{verdict.finding.value}: {verdict.sentence}")
    return verdict
