"""What a reader may do with any bytes, and what it does."""

from __future__ import annotations

import gc
import resource
import signal
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from common.errors import SitebridgeError

SECONDS = 10.0  # of the processor's; a good input takes a hundredth
MEMORY = 512 << 20  # bytes that one input of some kilobytes may make the process grow by
LONGEST = 2_000  # characters of a message's line
SECRET = "quincunx"  # stands in every cohort among the seeds, and must stand in no message


@dataclass(frozen=True)
class Reader:
    """One way in.

    Attributes
    ----------
    name : str
    form : str
        Of `mutate.FORMS`: how its inputs are broken.
    seeds : tuple of bytes
        Good inputs.
    read : callable
        Reads bytes, with a scratch folder of its own; raises a `SitebridgeError` for what is not good.
    public : callable
        Gives the part of an input that a message may repeat: all, or of a cohort's table the header.
    """

    name: str
    form: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], object]
    public: Callable[[bytes], str] = lambda data: data.decode("utf-8", "replace")


@dataclass(frozen=True)
class Finding:
    """A broken contract: what broke, as a name by which the same one is known, and what is said of it."""

    name: str
    said: str


class HangError(BaseException):
    """The reader took too long; no `except Exception` holds it."""


def judge(reader: Reader, data: bytes, folder: Path) -> Finding | None:
    """Let a reader read, and give what it did that no reader may do."""
    before = _peak()
    try:
        with _alarm():
            reader.read(data, folder)
    except SitebridgeError as error:
        found = _unfit(reader, data, error)
    except (Exception, HangError) as error:
        where = _place(error)
        return Finding(f"{reader.name}: {type(error).__name__} at {where}", f"{error!s:.300}")
    else:
        found = None
    grown = _peak() - before
    if grown > MEMORY:
        gc.collect()
        return Finding(f"{reader.name}: memory", f"{grown >> 20} MB for {len(data)} bytes")
    return found


def _unfit(reader: Reader, data: bytes, error: SitebridgeError) -> Finding | None:
    """Give what is wrong with a message: only its lines of a list may follow the first, and all of it is print."""
    first, *more = str(error).split("\n")
    faults = [
        ("a line that is too long", any(len(line) > LONGEST for line in (first, *more))),
        ("more than one line", any(not line.startswith("  ") for line in more)),
        ("no print", any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for line in (first, *more) for c in line)),
        ("a cohort's value", SECRET in _shown(error).casefold() and SECRET not in reader.public(data).casefold()),
    ]
    for name, wrong in faults:
        if wrong:
            return Finding(
                f"{reader.name}: {type(error).__name__} at {_place(error)} with {name}", f"{str(error)!a:.400}"
            )
    return None


def _shown(error: BaseException) -> str:
    """Give all that a traceback would show of an error's words, those of the error behind it included."""
    said = str(error)
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said if behind is None else f"{said}\n{_shown(behind)}"


def _place(error: BaseException) -> str:
    """Give the last line of our own that an error came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    own = [frame for frame in frames if "/benchmarks/" not in frame.filename and "<frozen" not in frame.filename]
    last = (own or frames)[-1]
    return f"{'/'.join(Path(last.filename).parts[-3:])}:{last.lineno}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@contextmanager
def _alarm() -> Iterator[None]:
    """Raise `HangError` after `SECONDS` of the processor's time: a busy machine makes nothing a hang."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise HangError(f"more than {SECONDS:g} seconds")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
