"""SIGTERM and SIGINT as a wish that the loops read at their next boundary."""

import signal
from types import TracebackType


class Interrupted(Exception):
    """A signal asked the process to stop; what was worth saving has been saved."""

    exit_code = 75  # EX_TEMPFAIL: a scheduler may start it again

    def __init__(self, signal_name: str, outcome: str = "") -> None:
        super().__init__(f"stopped by {signal_name}{outcome}")
        self.signal_name = signal_name


class Interrupt:
    """Context manager: while open, the first signal only sets `requested`; a second one kills."""

    def __init__(self) -> None:
        self.requested: str | None = None

    def __enter__(self) -> "Interrupt":
        self._previous = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.requested:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = signal.Signals(number).name
