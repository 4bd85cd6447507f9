"""The parameters of a checkpoint in one file that other programs read: the verb `export`.

What is exported is what evaluation and generation use: the averaged parameters where the run keeps
them, those of every player of a game, and beside them the statistics that generation reads
(`memory/shared/…`), if the objective has any. Config, spec and provenance are in the file.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqgen import backend, marks, run_directory, stored_state
from seqgen import config as configs
from seqgen import run as runs
from seqgen.errors import Failure, require, unknown
from seqgen.run import SHARED, Found, Run

Arrays = dict[str, np.ndarray]  # "model/recurrent/layer_0/w_h_DG" -> array
Metadata = dict[str, str]  # config, spec, provenance: each as JSON
METADATA = "metadata.json"  # its array's name in an npz: no parameter's, which all have a slash


class Format(NamedTuple):
    """A kind of file: its content from arrays and metadata, and both from its bytes."""

    packed: Callable[[Arrays, Metadata], bytes]
    unpacked: Callable[[bytes], tuple[Arrays, Metadata]]


def _packed_npz(arrays: Arrays, metadata: Metadata) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{METADATA: np.array(json.dumps(metadata))})
    return buffer.getvalue()


def _unpacked_npz(content: bytes) -> tuple[Arrays, Metadata]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop(METADATA)))


def _packed_safetensors(arrays: Arrays, metadata: Metadata) -> bytes:
    return require("safetensors.numpy", "export").save(arrays, metadata)


def _unpacked_safetensors(content: bytes) -> tuple[Arrays, Metadata]:
    # the package gives the metadata of a file alone; of bytes they are in the header, which is
    # JSON behind its length in 8 bytes
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return require("safetensors.numpy", "export").load(content), header["__metadata__"]


FORMATS = {
    "npz": Format(_packed_npz, _unpacked_npz),
    "safetensors": Format(_packed_safetensors, _unpacked_safetensors),
}


def export(run: Run, found: Found, which: str) -> tuple[Path, Arrays]:
    """Writes `exports/stepSTEP.FORMAT` of the run and reads it again; returns file and arrays.

    Raises UsageError for an unknown format or one whose package is missing, Failure where the file
    does not hold what was to be stored: then it is removed.
    """
    if which not in FORMATS:
        raise unknown("format", which, FORMATS)
    tree = found.params | {SHARED: found.memory["shared"]}
    arrays = {name: np.asarray(leaf) for name, leaf in stored_state.named(tree).items()}
    stated = {
        "config": configs.to_json(run.config),
        "spec": run.spec,
        "provenance": provenance(run, found),
    }
    metadata = {n: run_directory.canonical_json(value).decode() for n, value in stated.items()}
    content = FORMATS[which].packed(arrays, metadata)
    file = run_directory.folder(run.workdir, "exports") / f"step{found.step}.{which}"
    run_directory.write_bytes(file, content)
    again, said = FORMATS[which].unpacked(file.read_bytes())
    if different := changed(arrays, again) + [n for n in stated if said.get(n) != metadata[n]]:
        file.unlink()
        raise Failure(f"{file} did not keep {', '.join(different[:3])}, and was removed")
    return file, arrays


def provenance(run: Run, found: Found) -> dict[str, Any]:
    """Which run and checkpoint the parameters are of, which of its parameters, and where trained.

    `ema` is the decay of the average that they are, None where they are the trained ones as such.
    """
    return marks.digests(run, found) | {
        "step": found.step,
        "ema": run.config.ema,
        "players": sorted(found.params),
        "data_fingerprint": run.fingerprint,
        "environment": run_directory.read_json(run.workdir / "environment.json"),
    }


def changed(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> list[str]:
    """The names of arrays that are not the same in both, in shape, dtype and every bit."""

    def facts(arrays):
        return {n: (a.shape, a.dtype, a.tobytes()) for n, a in arrays.items()}

    one, other = facts(before), facts(after)
    return sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n))


def table(arrays: Arrays) -> str:
    """A line for each array: name, shape, dtype."""
    rows = [(name, str(a.shape), str(a.dtype)) for name, a in arrays.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{n:{widths[0]}}  {s:{widths[1]}}  {dtype}" for n, s, dtype in rows)


def main(workdir: Path, checkpoint: str, which: str, *, compilation_cache: bool) -> None:
    """The verb: exports, and prints what is in the file."""
    run = runs.load(workdir)
    backend.start(1, compilation_cache=compilation_cache)
    found = runs.parameters(run, checkpoint)
    file, arrays = export(run, found, which)
    print(table(arrays))
    numbers = sum(a.size for a in arrays.values())
    kind = "as trained" if run.config.ema is None else f"averages (ema={run.config.ema})"
    players = f" of {' and '.join(sorted(found.params))}" if len(found.params) > 1 else ""
    print(
        f"{file}: {numbers:,} numbers{players} in {len(arrays)} arrays at step {found.step}, "
        f"{kind}, as evaluation uses them; read again, and the same bit for bit"
    )
