"""What a long task shows: one live line on a terminal, a plain line now and then anywhere else."""

import contextlib
import errno
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

PLAIN_LINE_SECONDS = 10.0


class Progress:
    """Context manager. `show` replaces the live line; `say` prints and logs a line that stays.

    `log` is for a line that is printed elsewhere. One of several tasks that are shown together has
    a `name`, and shows and prints by way of `shown_by`, which is open. A `quiet` one only logs.
    """

    def __init__(
        self, log: Path, name: str = "", shown_by: "Progress | None" = None, *, quiet: bool = False
    ) -> None:
        self._log = log.open("a", encoding="utf-8", buffering=1)
        self._name, self._shown_by = name, shown_by
        self._console = Console(highlight=False, soft_wrap=True, quiet=quiet)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._printed = 0.0

    def __enter__(self) -> "Progress":
        if self._console.is_terminal and self._shown_by is None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal and self._shown_by is None:
            with while_seen():
                self._live.stop()
        with contextlib.suppress(OSError):
            self._log.close()

    def show(self, line: str, picture: RenderableType | None = None) -> None:
        """The line, or on a terminal the picture of what it says."""
        if self._shown_by is not None:
            self._shown_by.show(f"{self._name}: {line}")
        elif self._console.is_terminal:
            with while_seen():
                self._live.update(Text(line) if picture is None else picture, refresh=True)
        elif time.monotonic() - self._printed > PLAIN_LINE_SECONDS:
            self._printed = time.monotonic()
            self.say(line)

    def say(self, line: str) -> None:
        if self._shown_by is not None:
            self._shown_by.say(f"{self._name}: {line}")
        else:
            with while_seen():
                self._console.print(Text(line))
        self.log(line)

    def log(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a copy of what is printed: not worth a failure
            self._log.write(f"{time.strftime('%F %T')} {line}\n")


@contextlib.contextmanager
def while_seen() -> Iterator[None]:
    """A terminal that was closed shows nothing more, which must not keep a run from saving."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
