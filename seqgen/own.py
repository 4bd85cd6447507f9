"""What a config names of the user's own: MODULE:NAME, imported where it is needed."""

import importlib
from typing import Any

from seqgen.errors import UsageError


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
