"""Times in an OMOP database: a date that must be there, and a time of the same day that may lack."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from client.records.clock import TIME, Clock
from client.records.contract import Account
from client.records.database_cells import whole

OTHER_DAY = "times whose day is another than the date beside them: the time is taken"
YEAR_ONLY = "births known by year only, by encounter: taken as the middle of the year"
MONTH_ONLY = "births known by year and month only, by encounter: taken as the middle of the month"
_DAY_BUT_A_TICK = pa.scalar(timedelta(days=1, microseconds=-1), pa.duration("us"))


class Times:
    """Reads the times of one database.

    Parameters
    ----------
    midnight_is_day : bool
        A time of 00:00:00 stands for its whole day.
    """

    def __init__(self, clock: Clock, account: Account, midnight_is_day: bool) -> None:
        self._clock, self._account, self._midnight_is_day = clock, account, midnight_is_day

    def span(self, cells: Mapping[str, Any], date: str, time: str, where: str) -> tuple[Any, Any]:
        """Give the first and the last moment that a date and a time allow, timestamp("us") (N,).

        Parameters
        ----------
        date, time : str
            Columns of `cells`; the second may lack.

        Raises
        ------
        CohortError
            One cannot be read; `where` names the table.
        """
        day, day_end = self._clock.day(cells[date], f"{where}, {date}")
        if time not in cells:
            return day, day_end
        first, last = self._clock.span(cells[time], f"{where}, {time}")
        midnight = pc.floor_temporal(first, unit="day")
        self._account.add(OTHER_DAY, pc.sum(pc.not_equal(midnight, day)).as_py() or 0)
        if self._midnight_is_day:
            last = pc.if_else(pc.equal(first, midnight), pc.add(midnight, _DAY_BUT_A_TICK), last)
        return pc.coalesce(first, day), pc.coalesce(last, day_end)

    def births(self, cells: Mapping[str, Any], where: str) -> Any:
        """Give days of birth, timestamp("us") (N,), the middle of what is known; null where not even the year is.

        Year, month and day go before ``birth_datetime``, which many databases fill by a rule of their own.
        """
        year, month, day = (_part(cells, name, where) for name in ("year", "month", "day"))
        read = np.full(len(year), np.datetime64("NaT", "us"))
        if "birth" in cells:
            local = self._clock.local(cells["birth"], f"{where}, birth_datetime")
            read = pc.floor_temporal(local, unit="day").to_numpy(zero_copy_only=False)
        known, to_month = (year > 0) & (year < 10_000), (month > 0) & (month < 13)
        to_day = known & to_month & (day > 0) & (day < 32)
        exact = _date(year, month, day)
        to_day &= exact.astype("M8[M]") == _date(year, month, np.ones_like(day)).astype("M8[M]")  # not 31 February
        birth = np.where(to_day, exact, read)
        vague = known & np.isnat(birth)
        self._account.add(YEAR_ONLY, int((vague & ~to_month).sum()))
        self._account.add(MONTH_ONLY, int((vague & to_month).sum()))
        middle = np.where(to_month, _date(year, month, np.full_like(year, 15)), _date(year, np.full_like(year, 7), 1))
        return pa.array(np.where(vague, middle, birth), TIME)


def _part(cells: Mapping[str, Any], name: str, where: str) -> Any:
    return whole(cells[name], f"{where}, {name}") if name in cells else np.zeros(len(cells["year"]), dtype=np.int64)


def _date(year: Any, month: Any, day: Any) -> Any:
    """Give dates, datetime64[us] (N,); what is no date of the calendar is another or nonsense, to be masked."""
    months = (np.clip(year, 1, 9999) - 1970).astype("M8[Y]").astype("M8[M]") + (np.clip(month, 1, 12) - 1)
    return (months.astype("M8[D]") + (np.clip(day, 1, 31) - 1)).astype("M8[us]")
