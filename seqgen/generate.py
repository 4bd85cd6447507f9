"""New examples out of a checkpoint, each in a file of its own that says it is generated and how."""

import dataclasses
from pathlib import Path
from typing import Any

from seqgen import alignment, backend, decoding, environment, marks, run_directory, samples
from seqgen import run as runs
from seqgen.datasets import files
from seqgen.errors import UsageError
from seqgen.marks import digests, record_of  # noqa: F401  (of the samples)
from seqgen.run import Found, Run, parameters
from seqgen.samples import describes


def generate(
    run: Run, found: Found, num: int, prompt: str | None, options: decoding.Options, seed: int
) -> list[Path]:
    """Writes the samples, each beside its record FILE.json; returns their files.

    Beside answers of a model with attention also a picture of it, FILE-attention.png.
    """
    made = samples.make(run, found, range(num), prompt, options, seed)
    folder = run_directory.folder(run.workdir, "samples")
    asked = run_directory.digest([prompt, dataclasses.asdict(options)])[:6]
    common = mark(run, found, prompt, options, seed)
    written = []
    for index, one in enumerate(made):
        file = folder / f"step{found.step}-{asked}-seed{seed}-{index:04d}.{one.ending}"
        marks.write(file, one.content, common | {"index": index} | one.facts)
        if one.answers and alignment.can_show(run):
            what = f"attention in writing {file.name}"
            picture = alignment.picture(run, found, one.answers, f"{what} (generated)")
            beside = file.with_name(f"{file.stem}{alignment.ATTENTION}.png")
            marks.write(beside, picture, marks.mark(run, found) | {"what": what})
        written.append(file)
    return written


def mark(
    run: Run, found: Found, prompt: str | None, options: decoding.Options, seed: int
) -> dict[str, Any]:
    """The statement that samples were generated, and what is needed to make them again."""
    shown = prompt is not None and describes(run)
    return marks.mark(run, found) | {
        "seed": seed,
        "prompt": prompt,
        "input_sha256": run_directory.file_digest(Path(prompt)) if shown else None,
        "decoding": dataclasses.asdict(options),
        "environment": environment.record(devices=True),  # where the same bytes are promised
    }


def usual(run: Run, **chosen: Any) -> decoding.Options:
    """How samples are made where nothing else is chosen: texts drawn, answers greedy.

    Who chooses among which tokens to draw has chosen to draw.
    """
    drawn = chosen.get("top_k") is not None or chosen.get("top_p") is not None
    greedy = runs.writes_answers(run.objective) and not drawn
    return decoding.Options(**({"temperature": 0.0 if greedy else 1.0} | chosen))


def given(run: Run, prompt: str | None, file: Path | None) -> str | None:
    """The prompt of a run: as it is, the lines of a file, or the name of a file with a picture."""
    if describes(run):
        if prompt is not None:
            raise UsageError("this model describes pictures: give --input=FILE, not --prompt")
        prompt = None if file is None else str(file.resolve())
    elif file is not None and "start" not in run.spec:
        raise UsageError("--input is for models of text, of answers and of captions")
    elif file is not None:
        prompt = files.text(file)
    try:
        (prompt or "").encode()  # as the samples' record has it
    except UnicodeEncodeError as error:
        what = "--prompt" if file is None else "the name of --input"
        raise UsageError(f"{what} is not UTF-8 text: character {error.start}") from error
    return prompt


def shown(file: Path) -> str:
    """What of a sample a terminal can show."""
    return "" if file.suffix == ".png" else file.read_text("utf-8")


def main(
    workdir: Path,
    which: str,
    num: int,
    prompt: str | None,
    file: Path | None,
    chosen: dict[str, Any],
    seed: int,
    *,
    compilation_cache: bool,
) -> None:
    """The verb: generates, prints the texts and where they are.

    `chosen` are decoding options; the others are as is usual for the run.
    """
    run = runs.load(workdir)
    backend.start(samples.BLOCK, compilation_cache=compilation_cache)
    prompt, options = given(run, prompt, file), usual(run, **chosen)
    for written in generate(run, parameters(run, which), num, prompt, options, seed):
        print(f"--- {written} (generated)\n{shown(written)}")
