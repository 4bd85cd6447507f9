"""Checkpoints of a run: saved in the background, verified when restored, never silently wrong.

`train.py` saves and restores its TrainState here; other verbs read parts of it while it goes on.
What a saved step is made of is `stored_state.py`'s, how steps come and go `saved_steps.py`'s.
"""

import contextlib
import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from seqgen import run_directory, stored_state
from seqgen.errors import Failure, UsageError
from seqgen.saved_steps import SavedSteps
from seqgen.stored_state import DamageError

SPARE_BYTES = 2**20  # what the files of a step take besides their arrays, amply


class Restored(NamedTuple):
    """What a checkpoint holds."""

    step: int
    state: Any  # like the target
    meta: dict[str, Any]  # as given to save
    digest: str  # SHA-256 of all that was saved


class Checkpoints:
    """The checkpoints of a run directory; a context manager, and nothing is saved outside of it.

    A writer must hold the run (`run_lock.hold`): on entry it removes what a killed process left
    unfinished. It keeps the latest two steps, so that there is one to fall back to, the best, and
    multiples of `keep_every`. A reader (`writer=False`) changes nothing and needs no lock: it may
    restore while a writer saves.

    Raises UsageError on entry if a writer cannot write.
    """

    def __init__(
        self, workdir: str | os.PathLike, *, writer: bool = True, keep_every: int | None = None
    ) -> None:
        self._saved = SavedSteps(Path(workdir).absolute() / "checkpoints")
        self._writer = writer
        self._keep_every = keep_every
        self._saver: ThreadPoolExecutor | None = None
        self._apart: ProcessPoolExecutor | None = None  # where the saver has the arrays written
        self._pending: Future[None] | None = None
        self._own: tuple[int, bool] | None = None  # the last step here saved or restored; if best

    def __enter__(self) -> "Checkpoints":
        if self._writer:
            directory = self._saved.directory
            try:
                directory.mkdir(parents=True, exist_ok=True)
                self._saved.recover()
                tempfile.TemporaryFile(dir=directory).close()
            except OSError as error:
                raise UsageError(f"cannot write in {directory}: {error.strerror}") from error
            self._saver = ThreadPoolExecutor(1, "checkpoint")
            if jax.process_count() > 1:
                self._apart = stored_state.process_of_its_own()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if self._saver is None:
            return
        try:
            self.wait()
        except Exception as lost:
            if error is None:
                raise
            error.add_note(f"besides, the last save failed: {lost}")
            logging.exception("the last save failed")
        finally:
            self._saver.shutdown()
            self._saver = None
            if self._apart is not None:
                self._apart.shutdown()

    def save(
        self,
        step: int,
        state: Any,
        *,
        meta: Mapping[str, Any],
        best: bool = False,
        blocking: bool = False,
    ) -> None:
        """Saves in the background, or before it returns if `blocking`.

        The arrays are copied to the host at once, so the caller may donate them. `best` marks the
        step as the best so far; saved again in the same process, a best step remains it. Steps past
        `step`, which a run that has gone back left behind, are removed.

        Args:
            state: any pytree whose leaves are arrays, typed keys or Python numbers.
            meta: what the caller wants back, as JSON.

        Raises:
            Failure: this save (if `blocking`) or the one before could not be written, such as on a
                full disk. Earlier steps are intact.
        """
        if self._saver is None:
            raise RuntimeError("only a writer saves, inside its `with`")
        self.wait()
        best = best or self._own == (step, True)
        body = {"step": int(step), "best": best, "meta": dict(meta)}
        run_directory.canonical_json(body)  # bad meta is the caller's error, here and now
        body["leaves"], arrays = stored_state.snapshot(state)
        self._own = (step, best)
        self._pending = self._saver.submit(self._save, int(step), arrays, body)
        if blocking:
            self.wait()

    def wait(self) -> None:
        """Returns when the last save is on the disk. Raises Failure if it could not be written."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def steps(self) -> list[int]:
        """The saved steps, in order. Whether they are sound is seen by `restore`."""
        return self._saved.steps()

    def latest(self) -> int | None:
        """The last saved step, None if nothing was ever saved.

        Raises UsageError if only damaged steps are left: the caller would begin anew over them.
        """
        steps = self._saved.steps()
        if not steps and self._saved.any_trace():
            raise self._none_sound()
        return steps[-1] if steps else None

    def best(self) -> int | None:
        """The last step that was saved as the best, None if there is none.

        Raises UsageError if a later step is damaged, so that it may have been better.
        """
        return self._saved.best()

    def restore(self, target: Any, which: Literal["latest", "best"] | int = "latest") -> Restored:
        """Restores the latest step that is sound, or exactly the one that is asked for.

        A damaged latest step is reported, set aside as `STEP.corrupt` by a writer, and the one
        before is taken. A damaged best or numbered step is an error: other weights are never given
        in its place.

        Args:
            target: the pytree to restore. Its leaves give shape, dtype and, if they have one, the
                sharding (by default the first device). NumPy arrays and Python numbers come back as
                such, all others as jax.Array. Top-level fields that the target does not have are
                not read: {"params": …} restores the parameters alone.

        Raises:
            UsageError: no such step, none that is sound, or one that does not fit the target.
        """
        self.wait()
        passed: set[int] = set()
        while True:
            step = self._choose(which, passed)
            path, before = self._saved.path(step), self._saved.raw_manifest(step)
            try:
                state, manifest = stored_state.load(path, target)
                if manifest["step"] != step:
                    raise DamageError(f"it is a copy of step {manifest['step']}")
            except Exception as error:
                if not path.exists() or self._saved.raw_manifest(step) != before:
                    continue  # a writer deleted or replaced it meanwhile: choose again
                if not isinstance(error, DamageError):
                    raise
                if which != "latest":
                    raise UsageError(
                        f"{path} is damaged ({error}); choose another checkpoint, have steps: "
                        f"{self._saved}"
                    ) from error
                logging.error("%s is damaged (%s); trying the step before it", path, error)
                passed.add(step)
                if self._writer:
                    self._saved.set_aside(step)
                continue
            if self._saved.raw_manifest(step) == before:
                self._own = (step, manifest["best"])
                return Restored(step, state, manifest["meta"], manifest["digest"])

    def _choose(self, which: str | int, passed: set[int]) -> int:
        saved = self._saved
        if which == "latest":
            left = [step for step in saved.numbered() if step not in passed]
            if left:
                return left[-1]
            if passed or saved.any_trace():
                raise self._none_sound()
            raise UsageError(f"there is no checkpoint in {saved.directory} yet")
        step = saved.best() if which == "best" else int(which)
        if step is None or (which != "best" and step not in saved.numbered()):
            wanted = "best step" if which == "best" else f"step {which}"
            advice = "; use --checkpoint=latest" if which == "best" and saved.steps() else ""
            raise UsageError(
                f"there is no {wanted} in {saved.directory}; have steps: {saved}{advice}"
            )
        return step

    def _none_sound(self) -> UsageError:
        return UsageError(
            f"no checkpoint in {self._saved.directory} is sound, and the run is not begun anew "
            "over what is left of it: move that directory away to start from scratch"
        )

    def _save(self, step: int, arrays: dict[str, np.ndarray], body: dict[str, Any]) -> None:
        while True:
            try:
                return self._write(step, arrays, body)
            except Exception as error:
                with contextlib.suppress(OSError):
                    self._saved.recover()
                if _disk_is_full(error) and self._saved.free():
                    continue  # there is something less to delete each time
                raise Failure(
                    f"{self._saved.path(step)} could not be written: {stored_state.cause(error)}; "
                    f"steps that stay: {self._saved}"
                ) from error

    def _write(self, step: int, arrays: dict[str, np.ndarray], body: dict[str, Any]) -> None:
        saved, saving = self._saved, self._saved.path(step, ".saving")
        needed = sum(array.nbytes for array in arrays.values()) + SPARE_BYTES
        free = shutil.disk_usage(saved.directory).free
        if free < needed:
            sentence = f"the disk is full: {free:,} bytes are free, {needed:,} are needed"
            raise OSError(errno.ENOSPC, sentence)
        saving.mkdir()
        if self._apart is None:
            stored_state.write(saving, arrays, body)
        else:
            stored_state.write_apart(self._apart, saving, arrays, body)
        saved.commit(step)
        for later in [other for other in saved.numbered() if other > step]:
            logging.warning("removing %s: the run has gone back to before it", saved.path(later))
            saved.delete(later)
        steps, every = saved.steps(), self._keep_every
        stay = [step for step in steps if every is not None and step % every == 0]
        saved.keep_only({*steps[-2:], *stay, saved.marked_best()})


def _disk_is_full(error: BaseException) -> bool:
    reason = stored_state.cause(error)
    full = isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "RESOURCE_EXHAUSTED" in str(reason)
