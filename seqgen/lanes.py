"""Runs that differ in their seeds and numbers alone, trained together as lanes of one program.

Each lane has a run directory of its own, with what a run alone leaves there, in the same form: it
can be evaluated, sampled from, and resumed alone or in another group. What a lane computes is what
its run alone computes on one device.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_collections import config_dict

from seqgen import ahead, run_directory, run_lock, run_state
from seqgen import config as configs
from seqgen import train as training
from seqgen.attempt import Attempt, note_the_end
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError, require
from seqgen.evaluator import Measure
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.lane_program import Program, Stacked
from seqgen.lane_session import Shared, Values
from seqgen.parts import lane_fields
from seqgen.progress import Progress
from seqgen.run_state import State
from seqgen.session import Session, stored_config

Run = tuple[config_dict.ConfigDict, Path]  # a settled config, and its run directory
OWN = (Failure, UsageError, OSError)  # what ends one lane and none of the others


def groups(all_configs: Sequence[config_dict.ConfigDict]) -> list[list[int]]:
    """Which of the configs may share a program, by their numbers, in order.

    Those that are the same but for what `parts.lane_fields` lists.
    """
    found: dict[str, list[int]] = {}
    for number, config in enumerate(all_configs):
        config = configs.settled(config, None)
        free = lane_fields(config)
        same = {name: v for name, v in configs.fields(config).items() if name not in free}
        found.setdefault(run_directory.digest([same, free]), []).append(number)
    return list(found.values())


def train(
    all_configs: Sequence[config_dict.ConfigDict],
    workdirs: Sequence[Path],
    *,
    refused: Mapping[Path, Exception] = MappingProxyType({}),
    compilation_cache: bool = True,
) -> None:
    """Trains every run that is not done, those of each group together, on the devices there are.

    Args:
      refused: why further runs have failed already, by their directories.

    Raises Interrupted after a signal (all is saved), UsageError as `train.train` does, and in the
    end Failure if some of the runs failed, which stops none of the others.
    """
    for config in all_configs:
        configs.validate(config)
    if any(config.tensorboard for config in all_configs):
        require("tensorboardX", "tensorboard")  # before anything is written
    if len({workdir.resolve() for workdir in workdirs}) < len(workdirs):
        raise UsageError("each of the runs needs a directory of its own")
    left: list[Run] = []
    failed = dict(refused)
    for config, workdir in zip(all_configs, workdirs, strict=True):
        try:
            settled = configs.settled(config, stored_config(workdir))
            if not is_done(settled, workdir):
                left.append((settled, workdir))
        except OWN as error:
            failed[workdir] = error
    for members in groups([config for config, _ in left]):
        failed |= train_group([left[number] for number in members], compilation_cache)
    if failed:
        listed = "; ".join(f"{workdir}: {error}" for workdir, error in failed.items())
        only_refused = all(isinstance(error, UsageError) for error in failed.values())
        kind = UsageError if only_refused else Failure
        count = len(workdirs) + len(refused)
        raise kind(f"{len(failed)} of {count} runs failed: {listed}")


def is_done(config: config_dict.ConfigDict, workdir: Path) -> bool:
    """Whether the directory holds this very run, finished."""
    if run_state.state(workdir) is not State.DONE:
        return False
    stored = stored_config(workdir)
    return stored is not None and not configs.differences(stored, config)


def train_group(group: Sequence[Run], compilation_cache: bool) -> dict[Path, Exception]:
    """Trains runs that may share a program, as many at once as memory has room for.

    Returns why runs failed, by their directories.
    """
    if len(group) == 1:
        ((config, workdir),) = group
        try:
            if not was_a_lane(workdir):
                training.train(config, workdir, compilation_cache=compilation_cache)
                return {}
        except OWN as error:
            return {workdir: error}
    failed: dict[Path, Exception] = {}
    with contextlib.ExitStack() as stack:
        held = []
        for config, workdir in group:
            try:
                stack.enter_context(run_lock.hold(workdir))
                held.append((config, workdir))
            except UsageError as error:  # another process has it
                failed[workdir] = error
        if not held:
            return failed
        interrupt = stack.enter_context(Interrupt())
        screen = stack.enter_context(Progress(Path(os.devnull)))
        try:
            program = Program(Shared([config for config, _ in held]))
        except OWN as error:  # of what they share, such as a missing file of data
            return failed | {workdir: error for _, workdir in held}
        at_once = program.shared.lanes.at_once
        for first in range(0, len(held), at_once):
            failed |= train_wave(program, held[first : first + at_once], interrupt, screen)
    return failed


def was_a_lane(workdir: Path) -> bool:
    """Whether the run began as a lane: it goes on as one, on one device, so bit for bit alike."""
    file = workdir / "plan.json"
    return file.exists() and "lanes" in run_directory.read_json(file, ())


class Lane:
    """One run among others: what it is made of, what it holds open, and how it ended.

    Attributes:
      session: what it is made of; None: it was refused before there was one.
      number: among the lanes of the program.
      reason: why it ended well; None: it has not.
      error: why it failed; None: it has not.
      stop: what to say of it where a signal has stopped all.
      finished: whether there is nothing more to do.
    """

    def __init__(self, workdir: Path, progress: Progress) -> None:
        self.workdir, self.progress = workdir, progress
        self.session: Session | None = None
        self.number = -1
        self.reason: str | None = None
        self.error: Exception | None = None
        self.stop: Interrupted | None = None
        self.finished = False
        self._open = contextlib.ExitStack()

    @property
    def live(self) -> bool:
        return self.reason is None and self.error is None

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """What goes wrong within is the lane's own business: it ends."""
        try:
            yield
        except OWN as error:
            self.error = error
            self.progress.say(f"failed: {error}")
            if self.session is not None:  # what is refused before is no attempt at the run
                note_the_end(self.workdir, error)

    def begin(self, interrupt: Interrupt) -> None:
        """From its latest checkpoint, if it has one."""
        session = self.session
        run_directory.set_status(self.workdir, "RUNNING")
        saves = Checkpoints(self.workdir, keep_every=session.options.keep_every)
        checkpoints = self._open.enter_context(saves)
        self.attempt = Attempt(session, checkpoints, interrupt, self.progress, self._open)

    def close(self) -> None:
        """Waits for its last save."""
        self._open.close()

    def pause(self, stacked: Stacked) -> None:
        """What its run alone does between two calls."""
        if self.attempt.looks():
            state = stacked.state(self.number)
            moved = self.attempt.pause(state)
            stacked.set_monitor(self.number, moved.monitor)
        self.reason = self.attempt.ended()


def train_wave(
    program: Program, wave: Sequence[Run], interrupt: Interrupt, screen: Progress
) -> dict[Path, Exception]:
    """Trains runs as lanes of one program and finishes them; returns why some failed."""
    shared = program.shared
    with contextlib.ExitStack() as stack:
        lanes = []
        for config, workdir in wave:
            log = Progress(workdir / "log.txt", name=workdir.name, shown_by=screen)
            lane = Lane(workdir, stack.enter_context(log))
            with lane.guarded():
                lane.session = shared.session(config, workdir, lane.progress)
            lanes.append(lane)
        try:
            walk(program, [lane for lane in lanes if lane.live], interrupt)
            finish(shared, [lane for lane in lanes if lane.error is None], interrupt)
        except BaseException as error:
            for lane in [lane for lane in lanes if lane.error is None and not lane.finished]:
                note_the_end(lane.workdir, lane.stop or error)
            raise
    return {lane.workdir: lane.error for lane in lanes if lane.error is not None}


def finish(shared: Shared, lanes: Sequence[Lane], interrupt: Interrupt) -> None:
    """What the runs leave in the end: each one's report is written while the next is measured.

    Only the measuring has a thread of its own, since Matplotlib is not safe in several.
    """
    unreported: list[Lane] = []

    def report() -> None:
        while unreported:
            lane = unreported.pop()
            with lane.guarded():
                training.write_report(lane.workdir, lane.progress)

    def beside(threads: Executor, values: Values, split: str) -> Measure:
        def measure(*given: Any) -> dict[str, float]:
            measured = threads.submit(shared.measure(values, split), *given)
            report()
            return measured.result()

        return measure

    with ThreadPoolExecutor(1) as threads:
        for lane in lanes:
            with lane.guarded():
                measure = partial(beside, threads, shared.values(lane.session.config))
                training.conclude(lane.session, lane.reason, interrupt, lane.progress, measure)
                lane.finished = True
                unreported.append(lane)
        report()


def walk(program: Program, lanes: Sequence[Lane], interrupt: Interrupt) -> None:
    """Takes every lane to its end. Raises Interrupted, with all saved, after a signal."""
    try:
        for lane in lanes:
            with lane.guarded():
                lane.begin(interrupt)
        begun = [lane for lane in lanes if lane.live]
        for number, lane in enumerate(begun):
            lane.number = number
        if begun:
            stacked = Stacked(
                program,
                [program.shared.values(lane.session.config) for lane in begun],
                [lane.attempt.first() for lane in begun],
            )
            with ahead.compiler() as compiler:
                if any(lane.attempt.ended() is None for lane in begun):
                    program.shared.compile_ahead(compiler)
                move(stacked, begun, interrupt)
    finally:
        for lane in lanes:
            with lane.guarded():
                lane.close()


def move(stacked: Stacked, lanes: Sequence[Lane], interrupt: Interrupt) -> None:
    """Call after call: those of the lanes that are furthest behind go on, until all are abreast.

    So a run that was resumed alone, or killed between two saves, can join those ahead of it.
    """
    try:
        while live := [lane for lane in lanes if lane.live]:
            step = min(lane.attempt.step for lane in live)
            last = [lane for lane in live if lane.attempt.step == step]
            for lane in last:
                with lane.guarded():
                    lane.pause(stacked)
            moving = {lane.number: lane for lane in last if lane.live}
            if not moving:
                continue
            if interrupt.requested:
                raise Interrupted(interrupt.requested)
            count = next(iter(moving.values())).attempt.count()
            measured = stacked.call(step, count, list(moving))
            for number, lane in moving.items():
                with lane.guarded():
                    lane.attempt.passed(count, measured[number])
    except Interrupted as stop:
        live = [lane for lane in lanes if lane.live]
        for lane in live:
            with lane.guarded():
                lane.stop = lane.attempt.stopped(stacked.state(lane.number), stop)
                note_the_end(lane.workdir, lane.stop)  # those to come may take longer than there is
        saved = sum(lane.error is None for lane in live)
        outcome = f", {saved} runs saved: run them again to go on"
        raise Interrupted(stop.signal_name, outcome) from stop
