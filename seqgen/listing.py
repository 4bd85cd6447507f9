"""What there is to choose from: the verb `list`."""

import ast
from pathlib import Path

from seqgen import cells, config


def listing(experiments: Path) -> str:
    """Experiments with the first line of their promise, then the parts by kind."""
    lines = ["experiments"]
    for file in sorted(experiments.glob("*.py")):
        promise = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        lines.append(f"  {file.stem:16} {promise.partition(chr(10))[0]}")
    for kind in config.PARTS:
        lines.append(f"{kind}s\n  {', '.join(config.names(kind))}")
    lines.append(f"cells\n  {', '.join(cells.names())}")
    return "\n".join(lines)
