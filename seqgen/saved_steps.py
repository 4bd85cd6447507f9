"""The directory of a run's saved steps: which there are, how one is added, and how one goes.

`checkpoint.py` decides what to save, keep and restore. A step is a directory with a number for its
name, and counts from the moment when `STEP.saving` is renamed to it: complete, verifiable, on the
disk. Removing begins with a renaming too, so whoever reads meanwhile finds all of a step or none.
"""

import contextlib
import logging
import re
import shutil
from pathlib import Path

from seqgen import run_directory, stored_state
from seqgen.errors import UsageError
from seqgen.stored_state import DamageError


class SavedSteps:
    """The steps in a directory. Nothing is remembered: another process may be writing there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, step: int, suffix: str = "") -> Path:
        return self.directory / f"{step}{suffix}"

    def numbered(self) -> list[int]:
        """The directories that are named like a step, in order, whatever is in them."""
        names = [path.name for path in self.directory.glob("[0-9]*")]
        return sorted(int(name) for name in names if re.fullmatch(r"0|[1-9]\d*", name))

    def steps(self) -> list[int]:
        """Those with a manifest; whether they are sound is seen by reading all of them."""
        return [step for step in self.numbered() if self.raw_manifest(step)]

    def raw_manifest(self, step: int) -> bytes | None:
        """Tells one state of a step from another; None if there is none to read."""
        try:
            return (self.path(step) / stored_state.MANIFEST).read_bytes()
        except OSError:
            return None

    def any_trace(self) -> bool:
        """Whether anything was ever saved here, sound or not."""
        return bool(self.numbered() or list(self.directory.glob("*.corrupt")))

    def marked_best(self) -> int | None:
        """The last step whose manifest can be read and says best."""
        for step in reversed(self.steps()):
            with contextlib.suppress(DamageError):
                if stored_state.manifest(self.path(step))["best"]:
                    return step
        return None

    def best(self) -> int | None:
        """The last step that was saved as the best.

        Raises UsageError if a later one is damaged or was set aside, and may have been better.
        """
        while True:
            names = self._names()
            found = self._best_among(names)
            # a writer may meanwhile have added a new best, below which the old one is deleted
            if found is not None or self._names() == names:
                return found

    def _names(self) -> set[str]:
        return {path.name for path in self.directory.glob("[0-9]*")}

    def _best_among(self, names: set[str]) -> int | None:
        candidates = [name.partition(".") for name in names]
        numbers = [int(name) for name, _, suffix in candidates if suffix in ("", "corrupt")]
        for step in sorted(set(numbers), reverse=True):
            for path in (self.path(step), self.path(step, ".corrupt")):
                says_best = _says_best(path)
                if says_best is None or (says_best and path.suffix == ".corrupt"):
                    raise UsageError(
                        f"{path} is damaged and may have been the best; choose another checkpoint, "
                        f"have steps: {self}"
                    )
                if says_best:
                    return step
        return None

    def commit(self, step: int) -> None:
        """Makes STEP.saving the step, in place of an earlier one of that number."""
        final, replaced = self.path(step), self.path(step, ".replaced")
        if final.exists():
            final.rename(replaced)
        self.path(step, ".saving").rename(final)
        run_directory.sync(self.directory)
        if replaced.exists():
            shutil.rmtree(replaced)

    def delete(self, step: int) -> None:
        self.path(step).rename(self.path(step, ".deleting"))
        shutil.rmtree(self.path(step, ".deleting"))

    def keep_only(self, kept: set[int | None]) -> bool:
        """Deletes the other steps; tells whether there were any."""
        others = [step for step in self.steps() if step not in kept]
        for step in others:
            self.delete(step)
        return bool(others)

    def free(self) -> bool:
        """Deletes all but the last sound step and the best; tells whether that was anything."""
        for step in reversed(self.steps()):
            try:
                stored_state.verify(self.path(step))
            except DamageError:
                continue
            return self.keep_only({step, self.marked_best()})
        return False

    def set_aside(self, step: int) -> None:
        """Renames a damaged step to STEP.corrupt, where it counts no more and can be looked at."""
        shutil.rmtree(self.path(step, ".corrupt"), ignore_errors=True)
        self.path(step).rename(self.path(step, ".corrupt"))

    def recover(self) -> None:
        """Removes what a killed or failed writer left; brings back a step it had half replaced."""
        for path in self.directory.glob("*.replaced"):
            if not path.with_suffix("").exists():
                path.rename(path.with_suffix(""))
        for suffix in ("saving", "deleting", "replaced"):
            for path in self.directory.glob(f"*.{suffix}"):
                logging.info("removing the unfinished %s", path)
                shutil.rmtree(path)

    def __str__(self) -> str:
        return ", ".join(map(str, self.steps())) or "none"


def _says_best(path: Path) -> bool | None:
    """What a step's manifest says; None if it is there and can't be trusted."""
    for _ in range(2):  # a writer may be replacing it just now
        with contextlib.suppress(DamageError):
            return stored_state.manifest(path)["best"]
    return None if path.exists() else False
