"""Marks of generated files: a record FILE.json beside each, that says what made it.

`generate.py`, `evaluate.py` and `report.py` write files through here; `verify.py` reads the
records.
"""

import hashlib
from pathlib import Path
from typing import Any

from seqgen import config as configs
from seqgen import run_directory
from seqgen.run import Found, Run


def mark(run: Run, found: Found) -> dict[str, Any]:
    """The statement that something was generated, and by what."""
    return in_training(run, found.step) | digests(run, found)


def in_training(run: Run, step: int) -> dict[str, Any]:
    """The same of what a run made on its way, by that step, of no checkpoint."""
    return {
        "generated": True,
        "digital_source_type": "trainedAlgorithmicMedia",  # IPTC's term
        **run_digests(run),
        "step": step,
    }


def digests(run: Run, found: Found) -> dict[str, str]:
    """What the files that a checkpoint makes come from."""
    return run_digests(run) | {"checkpoint_sha256": found.digest}


def run_digests(run: Run) -> dict[str, str]:
    """Which run it is; one that is lengthened remains the same."""
    identity = configs.identity(run.config)
    return {
        "run_sha256": run_directory.digest([identity, run.spec, run.fingerprint]),
        "config_sha256": run_directory.digest(identity),
    }


def record_of(file: Path) -> Path:
    """Where the record of a generated file stands."""
    return file.with_name(file.name + ".json")


def write(file: Path, content: bytes, record: dict[str, Any]) -> None:
    """Writes a generated file and before it its record, so that there is none without a mark."""
    own = {"file_sha256": hashlib.sha256(content).hexdigest()}
    run_directory.write_json(record_of(file), record | own)
    run_directory.write_bytes(file, content)
