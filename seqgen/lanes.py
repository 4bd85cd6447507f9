"""Runs that differ in their seeds and numbers alone, trained together as lanes of one program.

Each lane has a run directory of its own, with what a run alone leaves there, in the same form: it
can be evaluated, sampled from, and resumed alone or in another group. What a lane computes is what
its run alone computes on one device.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from ml_collections import config_dict

from seqgen import backend, environment, run_directory, run_lock
from seqgen import config as configs
from seqgen import train as training
from seqgen.attempt import Attempt, note_the_end
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError, require
from seqgen.interrupt import Interrupt, Interrupted
from seqgen.lane_program import Program, Stacked
from seqgen.lane_session import Shared
from seqgen.parts import lane_fields
from seqgen.progress import Progress
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
    compilation_cache: bool = True,
) -> None:
    """Trains every run that is not done, those of each group together.

    Raises Interrupted after a signal (all is saved), UsageError as `train.train` does, and in the
    end Failure if some of the runs failed, which stops none of the others.
    """
    backend.start(environment.cores(), compilation_cache=compilation_cache)
    for config in all_configs:
        configs.validate(config)
    if any(config.tensorboard for config in all_configs):
        require("tensorboardX", "tensorboard")  # before anything is written
    if len({workdir.resolve() for workdir in workdirs}) < len(workdirs):
        raise UsageError("each of the runs needs a directory of its own")
    every = [
        (configs.settled(config, stored_config(workdir)), workdir)
        for config, workdir in zip(all_configs, workdirs, strict=True)
    ]
    left = [run for run in every if not is_done(*run)]
    failed: dict[Path, Exception] = {}
    for members in groups([config for config, _ in left]):
        failed |= train_group([left[number] for number in members], compilation_cache)
    if failed:
        listed = "; ".join(f"{workdir}: {error}" for workdir, error in failed.items())
        refused = all(isinstance(error, UsageError) for error in failed.values())
        kind = UsageError if refused else Failure
        raise kind(f"{len(failed)} of {len(every)} runs failed: {listed}")


def is_done(config: config_dict.ConfigDict, workdir: Path) -> bool:
    """Whether the directory holds this very run, finished."""
    if not (workdir / "status.json").exists():
        return False
    stored = stored_config(workdir)
    same = stored is not None and not configs.differences(stored, config)
    return same and run_directory.read_status(workdir)["status"] == "DONE"


def train_group(group: Sequence[Run], compilation_cache: bool) -> dict[Path, Exception]:
    """Trains runs that may share a program, as many at once as memory has room for.

    Returns why runs failed, by their directories.
    """
    if len(group) == 1:
        ((config, workdir),) = group
        try:
            training.train(config, workdir, compilation_cache=compilation_cache)
        except OWN as error:
            return {workdir: error}
        return {}
    failed = {}
    with contextlib.ExitStack() as stack:
        for _, workdir in group:
            stack.enter_context(run_lock.hold(workdir))
        interrupt = stack.enter_context(Interrupt())
        screen = stack.enter_context(Progress(Path(os.devnull)))
        program = Program(Shared([config for config, _ in group]))
        at_once = program.shared.lanes.at_once
        for first in range(0, len(group), at_once):
            wave = group[first : first + at_once]
            failed |= train_wave(program, wave, interrupt, screen)
    return failed


class Lane:
    """One run among others: what it is made of, what it holds open, and how it ended.

    Attributes:
      number: among the lanes of the program.
      reason: why it ended well; None: it has not.
      error: why it failed; None: it has not.
      stop: what to say of it where a signal has stopped all.
      finished: whether there is nothing more to do.
    """

    def __init__(self, session: Session, progress: Progress) -> None:
        self.session, self.progress = session, progress
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
            note_the_end(self.session.workdir, error)

    def begin(self, interrupt: Interrupt) -> None:
        """From its latest checkpoint, if it has one."""
        session = self.session
        run_directory.set_status(session.workdir, "RUNNING")
        saves = Checkpoints(session.workdir, keep_every=session.options.keep_every)
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
            progress = stack.enter_context(log)
            lanes.append(Lane(shared.session(config, workdir, progress), progress))
        try:
            walk(program, lanes, interrupt)
            for lane in [lane for lane in lanes if lane.error is None]:
                with lane.guarded():
                    measure = partial(shared.measure, shared.values(lane.session.config))
                    training.finish(lane.session, lane.reason, interrupt, lane.progress, measure)
                    lane.finished = True
        except BaseException as error:
            for lane in [lane for lane in lanes if lane.error is None and not lane.finished]:
                note_the_end(lane.session.workdir, lane.stop or error)
            raise
    return {lane.session.workdir: lane.error for lane in lanes if lane.error is not None}


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
        saved = [lane for lane in lanes if lane.live]
        for lane in saved:
            with lane.guarded():
                lane.stop = lane.attempt.stopped(stacked.state(lane.number), stop)
        outcome = f", {len(saved)} runs saved: run them again to go on"
        raise Interrupted(stop.signal_name, outcome) from stop
