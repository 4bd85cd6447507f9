"""What there is to choose from: the verb `list`."""

import ast
from pathlib import Path

from seqgen import cells, config


def listing(experiments: Path) -> str:
    """Experiments, each with the first line of its promise and its variants; claims; the parts."""
    lines = ["experiments"]
    for file in sorted(experiments.glob("*.py")):
        lines.append(f"  {file.stem:16} {_promise(file)}")
        if len(choices := variants(file)) > 1:
            lines.append(f"  {'':16} {' '.join(f':{choice}' for choice in choices)}")
    lines.append("claims")
    for file in sorted((experiments / "claims").glob("[a-z]*.py")):
        lines.append(f"  {file.stem:16} {_promise(file)}")
    for kind in config.PARTS:
        lines.append(f"{kind}s\n  {', '.join(config.names(kind))}")
    lines.append(f"cells\n  {', '.join(cells.names())}\n  MODULE:NAME, a Cell of your own")
    return "\n".join(lines)


def _promise(file: Path) -> str:
    promise = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return promise.partition("\n")[0]


def variants(experiment: Path) -> tuple[str, ...]:
    """VARIANTS of an experiment file, the default first, read without running the file."""
    for node in ast.parse(experiment.read_text("utf-8")).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="VARIANTS")], value=value):
                return ast.literal_eval(value)
    return ()
