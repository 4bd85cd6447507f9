"""What depends on shapes and platform, decided in one place as pure functions of static facts."""

from typing import NamedTuple


class RecurrenceSchedule(NamedTuple):
    """How a recurrence walks through time.

    Attributes:
      chunk: steps whose matrix products are done at once.
      store_gates: whether the backward pass finds the recurrent products stored by the forward
        pass, or computes them again, a chunk at a time, from the stored carries.
    """

    chunk: int
    store_gates: bool


def recurrence_schedule(
    *, platform: str, num_steps: int, batch_size: int, hidden_size: int, num_gates: int
) -> RecurrenceSchedule:
    """The schedule of a recurrent layer of `hidden_size` units over `num_steps` steps."""
    del batch_size, num_gates
    usual = 16 if platform == "cpu" else 64
    if num_steps <= usual:
        return RecurrenceSchedule(num_steps, store_gates=hidden_size >= 256)
    divisors = [c for c in range(usual // 2, 2 * usual + 1) if num_steps % c == 0]
    chunk = min(divisors, key=lambda c: abs(c - usual), default=usual)
    return RecurrenceSchedule(chunk, store_gates=hidden_size >= 256)
