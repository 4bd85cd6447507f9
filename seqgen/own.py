"""What is the user's own: a MODULE:NAME that a config names, a function of a Python file."""

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

from seqgen.errors import UsageError, unknown


def load(what: str, reference: str, kind: type) -> Any:
    """The value called NAME in a module that Python finds.

    Args:
      what: what it is to the user, such as "cell".
      reference: "MODULE:NAME"; the module may lie in a package, "package.module:name".
      kind: its type.

    Raises:
      UsageError: there is no such module, it can't be imported, or has no such value.
    """
    module_name, _, name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's file may fail in any way; the sentence says how
        absent = isinstance(error, ModuleNotFoundError) and error.name
        if absent and f"{module_name}.".startswith(f"{absent}."):
            reason = f"no module {absent} lies beside launch.py or in a folder of PYTHONPATH"
        else:
            reason = f"{module_name} can't be imported: {type(error).__name__}: {error}"
        raise UsageError(f"{what} {reference!r}: {reason}") from error
    found = getattr(module, name, None)
    if not isinstance(found, kind):
        have = sorted(n for n, value in vars(module).items() if isinstance(value, kind))
        raise UsageError(
            f"{what} {reference!r}: {module_name} has no {kind.__name__} of that name; it has: "
            f"{', '.join(have) or 'none'}"
        )
    return found


def call(what: str, path: str, function: str, *arguments: Any) -> Any:
    """What a function of a user's Python file returns.

    Raises UsageError, in one sentence, for a file that there is not, and for whatever goes wrong in
    it. `what` is what the file is to the user, such as "experiment".
    """
    file = Path(os.path.expanduser(path))
    if not file.is_file():
        have = [str(f) for f in file.parent.glob("*.py") if not f.name.startswith("_")]
        raise unknown(what, path, have)
    if file.suffix != ".py":
        raise UsageError(f"{path} is no {what}: those are Python files with a {function}")
    spec = importlib.util.spec_from_file_location(f"{what}_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return getattr(module, function)(*arguments)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a user's file may fail in any way
        raise UsageError(f"{path} could not be loaded: {type(error).__name__}: {error}") from error
