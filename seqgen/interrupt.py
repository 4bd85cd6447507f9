"""SIGTERM, SIGINT and SIGHUP as a wish that the loops read at their next boundary."""

import signal
from types import TracebackType

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal is closed; None: a system without
SIGNALS = tuple(s for s in (signal.SIGTERM, signal.SIGINT, HANGUP) if s is not None)


class Interrupted(Exception):
    """A signal asked the process to stop; what was worth saving has been saved."""

    exit_code = 75  # EX_TEMPFAIL: a scheduler may start it again

    def __init__(self, signal_name: str, outcome: str = "") -> None:
        super().__init__(f"stopped by {signal_name}{outcome}")
        self.signal_name = signal_name


class Interrupt:
    """Context manager: while open, the first signal only sets `requested`; a second one kills.

    A terminal that closes may say so twice, by the shell and by the system: that never kills. Where
    it is ignored already, as under nohup, it stays so.
    """

    def __init__(self) -> None:
        self.requested: str | None = None

    def __enter__(self) -> "Interrupt":
        self._previous = {
            number: signal.signal(number, self._note)
            for number in SIGNALS
            if number != HANGUP or signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.requested and number != HANGUP:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.requested = self.requested or signal.Signals(number).name
