"""One run that several processes train: how they find each other, and what they agree on.

Each takes the same steps on the devices of all, by JAX's own multi-process computation, and only
the first, which leads, writes. What befalls one of them on its host, such as a full disk or a
signal, the others do not see: they would wait for it in the next computation for ever. So they
agree here. A process that is alone agrees with itself, at no cost.
"""

import os
import signal
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from seqgen.errors import Failure, UsageError
from seqgen.interrupt import Interrupt, Interrupted

T = TypeVar("T")
SECONDS_TO_LEAVE = 30  # a process that fails waits no longer for the others, which JAX then ends

LONGEST_WAIT = 86_400  # seconds for another process, as while the first evaluates in the end
WAIT = "--xla_cpu_collective_timeout_seconds"  # half an hour by itself


class Place(NamedTuple):
    """Of this process among those of the run; None: found out from Slurm, Open MPI, a TPU's host.

    Attributes:
      coordinator: HOST:PORT where process 0 listens.
      count: of the processes.
      index: of this one.
    """

    coordinator: str | None = None
    count: int | None = None
    index: int | None = None


def join(place: Place) -> None:
    """Waits until all processes are there. Must run before any array is made.

    Raises UsageError where they don't find each other.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if WAIT not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {WAIT}={LONGEST_WAIT}".strip()
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            place.coordinator, place.count, place.index, shutdown_timeout_seconds=SECONDS_TO_LEAVE
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"the processes of the run did not find each other ({reason}): start them with srun or "
            "mpirun, or give each --coordinator=HOST:PORT, --processes=N and --process=0 … N-1"
        ) from error


def leads() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def greatest(number: int) -> int:
    """Of the numbers that the processes give."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def together(function: Callable[..., T], *arguments: Any) -> T:
    """Calls a function of the host alone in every process: all of them go on, or none.

    Raises what it raised here, or an error of the same exit code for what it raised elsewhere.
    """
    result, error = None, None
    try:
        result = function(*arguments)
    except Exception as raised:
        error = raised
    code = greatest(0 if error is None else getattr(error, "exit_code", Failure.exit_code))
    if error is not None:
        raise error
    if code == Interrupted.exit_code:
        raise Interrupted("a signal", " to another process of the run")
    if code:
        kind = UsageError if code == UsageError.exit_code else Failure
        raise kind("another process of the run has stopped, and says why")
    return result


def whole(tree: Any) -> Any:
    """With the arrays that are spread over the processes gathered from all of them."""

    def gathered(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array):  # a lane's is on the host already
            return leaf
        if leaf.is_fully_addressable or leaf.is_fully_replicated:
            return leaf
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(gathered, tree)


class AgreedInterrupt:
    """A signal to one process is one to all; they must ask at the same points."""

    def __init__(self, own: Interrupt) -> None:
        self._own = own

    @property
    def requested(self) -> str | None:
        name = self._own.requested
        number = greatest(signal.Signals[name].value if name else 0)
        return signal.Signals(number).name if number else None
