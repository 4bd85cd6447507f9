"""What depends on shapes and platform, decided in one place as pure functions of static facts."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class RecurrenceSchedule(NamedTuple):
    """How a recurrence walks through time.

    Attributes:
      chunk: steps whose matrix products are done at once.
      store_gates: whether the backward pass finds the gates stored by the forward pass, or
        computes them again, a chunk at a time, from the stored carries.
      transpose_weights: whether the backward pass makes a transposed copy of the recurrent weights.
      spare_columns: columns of zeros that the forward pass appends to the recurrent weights.
    """

    chunk: int
    store_gates: bool
    transpose_weights: bool
    spare_columns: int


# Gates of one chunk that still pass through a CPU's cache instead of its memory.
CACHED_BYTES = 2**20


def recurrence_schedule(
    *,
    platform: str,
    num_steps: int,
    batch_size: int,
    input_size: int,
    hidden_size: int,
    num_gates: int,
) -> RecurrenceSchedule:
    """The schedule of a recurrent layer over `num_steps` steps.

    Measured on two CPU cores. Storing a gate saves the multiplications of its products over the
    width of their operands, which pays for wide ones (256 units and inputs), and costs memory and
    the time to fill it, which is more for narrow ones (102). Large weights leave the cache in any
    case, and then fewer, larger products are better. Above some 500 units XLA's product with
    transposed weights is as good as with a copy, on several threads better. Rows of weights that
    lie a multiple of 2 KiB apart compete for the same few places of a CPU's first cache, and the
    small product of a step takes up to 1.7 times as long as with rows a little longer.
    """
    if platform != "cpu":
        usual = 64
    elif hidden_size < 512 and 4 * 16 * batch_size * num_gates * hidden_size > CACHED_BYTES:
        usual = 8
    else:
        usual = 16
    divisors = [c for c in range(usual // 2, 2 * usual + 1) if num_steps % c == 0]
    chunk = min(divisors, key=lambda c: abs(c - usual), default=usual)
    return RecurrenceSchedule(
        chunk=min(chunk, num_steps),
        store_gates=hidden_size + input_size >= 160,
        transpose_weights=platform == "cpu" and hidden_size < 512,
        spare_columns=8 if platform == "cpu" and num_gates * hidden_size % 512 == 0 else 0,
    )


class RunPlan(NamedTuple):
    """How a run is laid out on the machine; stored as the run's plan.json.

    Attributes:
      platform: cpu, gpu or tpu.
      devices: how many devices share the batch.
      steps_per_call: train steps in one dispatch; divides every interval of the run.
      compiler_options: of XLA, for the program of the train step.
    """

    platform: str
    devices: int
    steps_per_call: int
    compiler_options: dict[str, str]


# Arithmetic a device does in a second of such training, low on purpose: the plan must never make a
# dispatch too long to interrupt.
OPERATIONS_PER_SECOND = {"cpu": 2e10, "gpu": 5e12, "tpu": 5e12}
# A step below this much arithmetic is quicker on one device than shared.
WORTH_SHARING = 2e7
LONGEST_CALL_SECONDS = 0.25
# Recurrent weights beyond this leave a core's own cache in every step.
CACHED_WEIGHTS_BYTES = 2**21
# XLA's other library of products divides each among all threads, also those that other devices
# need: with a device on each core, its products of a step took a tenth to a quarter longer.
OWN_THREADS = {"xla_cpu_experimental_ynn_fusion_type": ""}


def writing_options(platform: str) -> dict[str, str]:
    """Compiler options of a program that writes token by token.

    With its products of a few rows XLA's other library takes up to a third longer.
    """
    return OWN_THREADS if platform == "cpu" else {}


def run_plan(
    *,
    platform: str,
    available: int,
    rows: int,
    operations: float,
    recurrent_bytes: int,
    recurrent_share: float,
    intervals: Sequence[int],
    lanes: int = 1,
    processes: int = 1,
) -> RunPlan:
    """The layout of a run.

    On a CPU a device is a core. What a recurrence multiplies in one step is too little for several
    cores, so each takes rows of its own. Without a recurrence one device whose every product all
    cores share is quicker (by a third for a variational autoencoder of dense layers, by a sixth for
    a game of convolutions), since there is one copy of the weights to move. Devices that share the
    rows also each read all the weights in every step; once those of a recurrence leave the cache,
    one device is quicker again (by a quarter for an LSTM of 512 units), unless most of the work is
    in large products outside the recurrence anyway. Several processes were started to share a run,
    so then all their devices do.

    Args:
      platform: of the devices.
      available: number of devices.
      rows: rows of a batch that are computed together; the devices must divide them.
      operations: floating-point operations of one train step.
      recurrent_bytes: of the largest matrix that a step of a recurrence multiplies by; 0 without.
      recurrent_share: of all such matrices in the weights.
      intervals: numbers of steps after which the run must be back on the host.
      lanes: runs whose steps one dispatch takes on a device.
      processes: that train the run; the devices of several must divide the rows.
    """
    wide = recurrent_bytes > CACHED_WEIGHTS_BYTES and recurrent_share > 0.5
    together = platform == "cpu" and (wide or recurrent_bytes == 0)
    worth_it = operations >= WORTH_SHARING and not together
    sharing = available if processes > 1 or worth_it else 1
    devices = max(n for n in range(1, sharing + 1) if rows % n == 0)
    longest = (
        LONGEST_CALL_SECONDS * OPERATIONS_PER_SECOND.get(platform, 5e12) / (lanes * operations)
    )
    common = math.gcd(*intervals)
    steps = max((n for n in range(1, common + 1) if common % n == 0 and n <= longest), default=1)
    return RunPlan(
        platform, devices, steps, OWN_THREADS if platform == "cpu" and devices > 1 else {}
    )


class LanePlan(NamedTuple):
    """How runs that share one program are laid out on the machine.

    Attributes:
      how: map, one lane after the other on each device; or vmap, those of a device side by side.
      devices: how many devices share the lanes.
      at_once: lanes of one program; when there are more, they wait until those have ended.
      compiler_options: of XLA, for that program.
    """

    how: str
    devices: int
    at_once: int
    compiler_options: dict[str, str]


# A lane's state, the one that a call makes of it, and the copy on the host that is being saved.
STATE_COPIES = 3
# Of the free memory, what lanes may fill: the rest is for evaluations, pictures, other processes.
LANES_SHARE = 0.5


def lane_plan(
    *,
    platform: str,
    available: int,
    lanes: int,
    state_bytes: int,
    saved_bytes: int,
    free_bytes: int,
) -> LanePlan:
    """The layout of so many lanes.

    A CPU's device is a core, and the products of several lanes side by side are no better for it
    than those of one after the other, which stays in its caches. An accelerator has room for many
    lanes in each operation, and needs them to be busy.

    Args:
      platform: of the devices.
      available: number of devices.
      lanes: number of runs.
      state_bytes: of one lane's state.
      saved_bytes: what one lane's forward pass leaves for its backward pass.
      free_bytes: of memory: a CPU's devices share it, of others it is each one's.
    """
    room = LANES_SHARE * free_bytes
    if platform == "cpu":
        most = (room - min(available, lanes) * saved_bytes) // (STATE_COPIES * state_bytes)
    else:
        most = available * (room // (STATE_COPIES * state_bytes + saved_bytes))
    waves = math.ceil(lanes / max(most, 1))
    at_once = math.ceil(lanes / waves)
    devices = min(available, at_once)
    own_threads = OWN_THREADS if platform == "cpu" and devices > 1 else {}
    return LanePlan("map" if platform == "cpu" else "vmap", devices, at_once, own_threads)
