"""One process's attempt at a run: what happens on the host between the calls that train it.

It logs, evaluates, checkpoints and says when to stop. `train.py` takes one run from call to call,
`lanes.py` many runs at once; the states are theirs.
"""

import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from seqgen import processes, run_directory
from seqgen.checkpoint import Checkpoints, Restored
from seqgen.errors import UsageError
from seqgen.event_files import EventFiles
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.meter import Meter
from seqgen.metrics import target_unit
from seqgen.parts import State
from seqgen.progress import Progress
from seqgen.run import Found
from seqgen.session import Session


class Attempt:
    """From the latest checkpoint, if there is one. `stack` closes what it opens.

    Attributes:
      step: of the run.
    """

    def __init__(
        self,
        session: Session,
        checkpoints: Checkpoints,
        interrupt: Interrupt,
        progress: Progress,
        stack: contextlib.ExitStack,
    ) -> None:
        self._session, self._checkpoints = session, checkpoints
        self._interrupt, self._progress = interrupt, progress
        state, self._due, self._resumed, self._ending = begin_or_resume(
            session, checkpoints, progress
        )
        self._first: State | None = state
        self.step, self._since_best = self._resumed or 0, int(state.monitor.since_best)
        unit, logs = target_unit(session.dataset.spec), processes.together(self._logs, stack)
        self._meter = Meter(session.options, unit, session.reports, logs, progress)

    def _logs(self, stack: contextlib.ExitStack) -> list[run_directory.MetricsLog | EventFiles]:
        """What its numbers are written to."""
        workdir = self._session.workdir
        if not processes.leads():
            return []
        log = run_directory.MetricsLog(workdir, self.step, evaluated=not self._due)
        logs = [stack.enter_context(log)]
        if self._session.options.tensorboard:
            logs.append(stack.enter_context(EventFiles(workdir)))
        return logs

    def first(self) -> State:
        """The state that it begins with. It is not kept: the first call may donate it."""
        state, self._first = self._first, None
        return state

    def _saves(self) -> bool:
        every = self._session.options.checkpoint_every
        return self._due or (
            self.step != self._resumed and self.step > 0 and self.step % every == 0
        )

    def looks(self) -> bool:
        """Whether the state is looked at before the next call."""
        frames = self._session.options.record_every
        return self._saves() or (frames is not None and self.step % frames == 0)

    def pause(self, state: State) -> State:
        """What is to be done before the next call; returns the state, its monitor moved on."""
        session, step = self._session, self.step
        processes.together(session.film, step, state.params)
        if not self._saves():
            return state
        processes.together(self._meter.flush)  # waits for the device, as saving does in any case
        best = False
        if self._due:
            state, best = self._evaluated(state)
        self._due = False
        meta = {"evaluation_due": False, "ending": self._ending}
        self._save(state, meta, best=best)
        return state

    def _save(self, state: State, meta: dict[str, Any], **how: bool) -> None:
        """A checkpoint, and where the run stands."""
        whole = processes.whole(state)

        def save():
            if processes.leads():
                self._checkpoints.save(self.step, whole, meta=meta, **how)
                run_directory.set_status(self._session.workdir, "RUNNING", step=self.step)

        processes.together(save)

    def ended(self) -> str | None:
        """Why the run ends here, None if it goes on."""
        options = self._session.options
        if self._ending is not None:
            return self._ending
        if options.patience is not None and self._since_best >= options.patience:
            return f"no better {options.monitor} in {options.patience} evaluations"
        return "all steps done" if self.step >= options.num_steps else None

    def count(self) -> int:
        """Steps of the next call.

        A run that is resumed with other intervals may begin in the middle of a call.
        """
        per_call = self._session.layout.steps_per_call
        return per_call - self.step % per_call

    def passed(self, count: int, metrics: dict[str, jax.Array]) -> None:
        """Takes what a call of so many steps has measured."""
        options = self._session.options
        self.step += count
        self._due = self.step % options.eval_every == 0 or self.step >= options.num_steps
        processes.together(self._meter.add, self.step, metrics)

    def stopped(self, state: State, stop: Interrupted) -> Interrupted:
        """Saves all; returns what to tell of it. Whoever ends the process shows it."""
        processes.together(self._meter.flush)
        self._save(state, {"evaluation_due": self._due}, blocking=True)
        outcome = f" at step {self.step}, all saved: run it again to go on"
        told = Interrupted(stop.signal_name, outcome)
        self._progress.log(str(told))
        return told

    def _evaluated(self, state: State) -> tuple[State, bool]:
        """Evaluates: (state with its monitor moved on, whether it is the best so far).

        An evaluation that is done only because the run ends there leaves the monitor as it was:
        when the run is lengthened, it goes on as if it had never ended. Then the
        next regular evaluation is compared with the regular ones before it, not with this one. For
        the same reason it takes no look at samples. A look that ends the run makes this the best.
        """
        session, step, interrupt = self._session, self.step, self._interrupt
        regular = step % session.options.eval_every == 0
        metrics = session.validate(state.evaluated, session.arrays, interrupt)
        sentence = ""
        if session.look is not None and regular:
            found = Found(step, state.evaluated, {"shared": state.memory["shared"]}, digest="")
            numbers, sentence, self._ending = session.look(
                found, session.arrays, int(state.monitor.looks) + 1, interrupt
            )
            metrics |= numbers
        processes.together(self._meter.report, "valid", step, metrics, sentence)
        name = session.options.monitor
        watched = np.float32(step if name is None else metrics[name])
        monitor = session.observe(state.monitor, watched)
        best = int(monitor.since_best) == 0 or self._ending is not None
        if regular:
            state = state.replace(monitor=monitor)
        self._since_best = int(state.monitor.since_best)
        return state, best


def begin_or_resume(
    session: Session, checkpoints: Checkpoints, progress: Progress
) -> tuple[State, bool, int | None, str | None]:
    """(state, whether its evaluation is still to be done, its step if it was found, its ending).

    The last is why its evaluation ended the run, which then ends there again; None: it goes on.
    """

    def latest() -> Restored | None:
        """The first process may have to set damaged steps aside: the others follow it."""
        there = processes.leads() and checkpoints.latest() is not None
        return checkpoints.restore(session.target) if there else None

    found = processes.together(latest)
    step = processes.greatest(-1 if found is None else found.step)
    if step < 0:
        return session.begin(), False, None, None
    restored = processes.together(lambda: found or checkpoints.restore(session.target, step))
    state, meta = restored.state, restored.meta
    progress.say(f"resumed {session.workdir} at step {step}")
    return state, meta["evaluation_due"], step, meta.get("ending")


def note_the_end(workdir: Path, error: BaseException) -> None:
    """Why the run stopped, in its status."""
    if not processes.leads():
        return
    status = "PREEMPTED" if isinstance(error, Interrupted) else "FAILED"
    # neither a disk too full for it nor a damaged status is the reason to be told
    with contextlib.suppress(OSError, UsageError):
        exit_code = getattr(error, "exit_code", 1)
        run_directory.set_status(workdir, status, exit_code=exit_code, message=str(error))
