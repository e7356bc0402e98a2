"""Times as the hospital's own clock read them: naive microseconds, with the span that a day, month or year leaves open.

What follows from leaving zones behind, so that nobody is surprised: in the hour that a clock shows twice when summer
time ends, two moments may read alike; a time without an offset is taken as it stands, even one that the zone's clock
skipped; and a window of 24 hours is counted on the clock, so it is an hour longer or shorter across a change.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray

from client.records.clock_texts import PATTERN, Mask, Times, first_and_last, offsets
from client.records.contract import Account
from common.errors import CohortError, ConfigError

TIME = pa.timestamp("us")
EXPECTED = 'expected times such as "2009-03-05T14:30:00", "2009-03-05T14:30:00+01:00" or "2009-03-05"'
OWN_CLOCK = "times with an offset, and no records.timezone: taken as their own clock read"
_DAY = np.timedelta64(1, "D")
_TICK = np.timedelta64(1, "us")
_FIRST = np.datetime64("0001-01-01T00:00:00", "us")
_LAST = np.datetime64("9999-12-31T23:59:59.999999", "us")  # Python's datetime knows no later one


class Moments(NamedTuple):
    """N times as the hospital's clock read them.

    Attributes
    ----------
    time, until : Arrow array of timestamp("us"), (N,)
        The earliest and the latest moment that each allows; the same where it has an hour. Null where there is none.
    unreadable : bool array (N,)
        Where a time was given that is none; `time` and `until` are null there.
    """

    time: Any
    until: Any
    unreadable: Mask


class Clock:
    """The clock of one hospital.

    Parameters
    ----------
    zone : str or None
        The key ``records.timezone``. Times with an offset are converted to this zone's clock. Without it they are taken
        as their own clock read, as long as all have one and the same offset.
    account : Account, optional
        Told how many times were taken as their own clock read.

    Raises
    ------
    ConfigError
        There is no zone of this name.
    """

    def __init__(self, zone: str | None, account: Account | None = None) -> None:
        self._zone = zone
        self._account = account
        self._offset: int | None = None  # seconds; of all times met so far that have one, without a zone
        self._bare = False  # times with an hour and no offset were met
        try:
            if zone is not None:
                ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            named = "expected a name of the IANA database such as Europe/Vienna or America/New_York"
            raise ConfigError(f'records.timezone: no time zone "{zone}" on this machine; {named}') from None

    def local(self, values: Any, where: str = "records") -> Any:
        """Give the clock's reading of each time, the first moment where only a day, month or year is known.

        Parameters
        ----------
        values : Arrow array of text (ISO 8601), timestamps with or without a zone, or dates, (N,)
        where : str
            The file or table and column, for messages.

        Returns
        -------
        Arrow array of timestamp("us"), (N,)
            Null where the value is null or blank.

        Raises
        ------
        CohortError
            Some cannot be read, or have different offsets while no zone is named.
        """
        return self.span(values, where)[0]

    def span(self, values: Any, where: str = "records") -> tuple[Any, Any]:
        """Give the first and the last moment that each time allows; see `local`."""
        moments = self.read(values, where)
        if moments.unreadable.any():
            raise CohortError(f"{where}: {moments.unreadable.sum()} times cannot be read; {EXPECTED}")
        return moments.time, moments.until

    def day(self, values: Any, where: str = "records") -> tuple[Any, Any]:
        """Give the first and the last moment of the day of each time, whatever hour it shows; see `local`."""
        first = pc.floor_temporal(self.local(values, where), unit="day")
        return first, pc.add(first, pa.scalar(_DAY - _TICK, pa.duration("us")))

    def read(self, values: Any, where: str = "records") -> Moments:
        """Give what can be read of each time, and which cannot; see `local`."""
        values = _plain(values)
        if pa.types.is_string(values.type):
            return self._texts(values, where)
        none = np.zeros(len(values), dtype=np.bool_)
        if pa.types.is_date(values.type):
            try:
                first = values.cast(TIME)
            except pa.ArrowException:  # whose words quote the day
                raise CohortError(f"{where}: holds days that no calendar has; {EXPECTED}") from None
            return Moments(first, pc.add(first, pa.scalar(_DAY - _TICK, pa.duration("us"))), none)
        if not pa.types.is_timestamp(values.type):
            raise CohortError(f"{where}: holds {values.type}; {EXPECTED}")
        time = self._stamps(values, where)
        return Moments(time, time, none)

    def _stamps(self, values: Any, where: str) -> Any:
        zone = values.type.tz
        values = values.cast(pa.timestamp("us", tz=zone), safe=False)  # nanoseconds are cut
        if zone is None:
            self._note(np.empty(0, dtype=np.int64), len(values) > values.null_count, where)
            return values
        missing = np.asarray(values.is_null())
        known: Times = values.cast(pa.int64()).fill_null(0).to_numpy().view("M8[us]")  # on the clock of UTC
        try:
            read = _convert(known, self._zone or zone)
        except (ValueError, KeyError, OverflowError):  # such as +25:00, which Arrow takes
            raise CohortError(f"{where}: holds {values.type}, of a zone that there is none of; {EXPECTED}") from None
        self._note((read - known)[~missing].astype("m8[s]").astype(np.int64), False, where)
        return _array(read, missing)

    def _texts(self, values: Any, where: str) -> Moments:
        values = pc.utf8_trim_whitespace(values)
        parts = pc.extract_regex(values, PATTERN)
        given = pc.fill_null(pc.not_equal(values, ""), False).to_numpy(zero_copy_only=False)
        first, last, right = first_and_last(parts)
        seconds, has_offset = offsets(parts)
        right &= np.abs(seconds) < 24 * 3600
        aware = right & has_offset
        timed = np.asarray(pc.struct_field(parts, "hour").fill_null("")) != ""
        if self._zone is not None:
            first[aware] = _convert(first[aware] - seconds[aware].astype("m8[s]"), self._zone)
            last[aware] = first[aware]
        else:
            self._note(seconds[aware], bool((right & timed & ~has_offset).any()), where)
        return Moments(_array(first, ~right), _array(last, ~right), given & ~right)

    def _note(self, seconds: NDArray[np.int64], bare: bool, where: str) -> None:
        """Remember which offsets were met without a zone, and refuse what cannot be one clock."""
        if self._zone is not None:
            return
        self._bare |= bare
        different = set(np.unique(seconds).tolist()) | ({self._offset} if self._offset is not None else set())
        remedy = "name the hospital's zone by records.timezone, such as Europe/Vienna"
        if len(different) > 1:
            raise CohortError(f"{where}: times with {len(different)} different offsets from UTC; {remedy}")
        if different and self._bare:
            raise CohortError(f"{where}: some times have an offset from UTC, others none; {remedy}")
        self._offset = next(iter(different), None)
        if self._account is not None:
            self._account.add(OWN_CLOCK, len(seconds))


def _convert(instants: Times, zone: str) -> Times:
    """Turn the clock of UTC into a zone's; by pandas, as Arrow knows no summer time after 2037 and shifted dates do."""
    read = np.clip(instants, _FIRST, _LAST)
    inside = (read >= _FIRST + _DAY) & (read <= _LAST - _DAY)  # a stand-in for "never" stays as it is
    stamps = pd.DatetimeIndex(read[inside]).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    read[inside] = stamps.to_numpy()
    return read


def _plain(values: Any) -> Any:
    """Give one array, without chunks or a dictionary; of nothing but nulls, as text."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    wide = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)  # as other libraries write text
    return values.cast(pa.string()) if wide or pa.types.is_null(kind) else values


def _array(times: Times, missing: Mask) -> Any:
    return pa.array(np.clip(times, _FIRST, _LAST), TIME, mask=missing)
