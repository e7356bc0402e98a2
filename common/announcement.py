"""Says once that what was started is up, or that it takes long; for both sides' `up`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

LONG = 60.0  # seconds after which it is said that something is not ready


class Announcement:
    """Looks now and then, until all is ready.

    Parameters
    ----------
    missing : callable
        Gives what is not ready.
    ready : str
        What is said when nothing is missing.
    late : callable
        Gives what is said, once, of what is still missing after `LONG` seconds.
    say : callable
        Told one line.
    every : float
        Seconds between two looks.
    """

    def __init__(
        self,
        missing: Callable[[], Sequence[str]],
        ready: str,
        late: Callable[[Sequence[str]], str],
        say: Callable[[str], None],
        every: float,
    ) -> None:
        self.missing, self.ready, self.late, self.say, self.every = missing, ready, late, say, every
        self._begun = self._looked = time.monotonic()
        self._done = self._late = False

    def look(self) -> None:
        """Look, where it is time to; must be called several times a second."""
        now = time.monotonic()
        if self._done or now - self._looked < self.every:
            return
        self._looked = now
        missing = self.missing()
        if not missing:
            self._done = True
            self.say(self.ready)
        elif not self._late and now - self._begun > LONG:
            self._late = True
            self.say(self.late(missing))
