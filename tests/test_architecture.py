"""The house keeps its shape: imports run one way, and no part is special to the train step."""

import ast
import re
from pathlib import Path

import seqgen

ROOT = Path(seqgen.__file__).parent
ORDER = (
    "errors",
    "plan",
    "own",
    "diagonal",
    "cells",
    "chunks",
    "recurrence",
    "trajectories",
    "layers",
    "torch_weights",
    "walks",
    "attention",
    "answering",
    "encoders",
    "decoders",
    "networks",
    "densities",
    "spectral",
    "pooling",
    "models",
    "metrics",
    "decoding",
    "testing",
    "augmentation",
    "objectives",
    "datasets",
    "gradient_flow",
    "optimizer",
    "config",
    "overrides",
    "grid",
    "interrupt",
    "processes",
    "command_line",
    "step",
    "run_directory",
    "environment",
    "backend",
    "page",
    "diagnosis_report",
    "frames",
    "event_files",
    "trials",
    "run_lock",
    "run_state",
    "stored_state",
    "saved_steps",
    "checkpoint",
    "progress",
    "backends",
    "ledger",
    "standings",
    "meter",
    "run",
    "verb_config",
    "parts",
    "ahead",
    "evaluator",
    "marks",
    "pictures",
    "gradient_pictures",
    "animation",
    "details",
    "likeness",
    "looks",
    "anomalies",
    "latent_texts",
    "latents",
    "recognition",
    "predictions",
    "evaluate",
    "compare",
    "alignment",
    "samples",
    "generate",
    "around",
    "verify",
    "export",
    "gradient_records",
    "gate_views",
    "diagnose",
    "curves",
    "run_report",
    "sweep_results",
    "sweep_effects",
    "sweep_pictures",
    "sweep_report",
    "study_report",
    "report",
    "session",
    "attempt",
    "train",
    "lane_session",
    "lane_program",
    "lanes",
    "group",
    "sweep",
    "evidence",
    "claims",
    "study",
    "listing",
)


def imported(file):
    """Top-level parts of seqgen that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [
                f"{node.module}.{a.name}" if node.module == "seqgen" else node.module
                for a in node.names
            ]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name and name.startswith("seqgen."))


def part(file):
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def test_imports_run_from_left_to_right():
    for file in ROOT.rglob("*.py"):
        if file == ROOT / "__init__.py":
            continue
        here = part(file)
        assert here in ORDER, f"{here} has no place in the order"
        for other in imported(file):
            assert ORDER.index(other) <= ORDER.index(here), f"{file} imports {other}"


def test_the_step_names_no_model_data_or_objective():
    text = (ROOT / "step.py").read_text()
    for word in ("lax.scan", "their shapes", "shapes = "):  # not the data of that name
        text = text.replace(word, "")
    for folder in ("models", "datasets", "objectives"):
        for file in (ROOT / folder).glob("[a-z]*.py"):
            assert not re.search(rf"\b{file.stem}\b", text)


def test_no_relative_imports():
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level)
