from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.records.clock import OWN_CLOCK, TIME, Clock
from client.records.contract import Account
from common.errors import CohortError, ConfigError

ZONES = ("Europe/Vienna", "America/New_York", "Asia/Hong_Kong", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")
MOMENTS = st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2200, 1, 1))
OFFSETS = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def local(zone: str | None, *values: str | None) -> list[datetime | None]:
    read: list[datetime | None] = Clock(zone).local(pa.array(values, pa.string())).to_pylist()
    return read


@given(moment=MOMENTS, offset=OFFSETS, zone=st.sampled_from(ZONES))
@settings(max_examples=200, deadline=None)
def test_a_time_with_an_offset_reads_as_the_zones_clock_showed_it(
    moment: datetime, offset: timezone, zone: str
) -> None:
    aware = moment.replace(tzinfo=offset)
    expected = aware.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert local(zone, aware.isoformat()) == [expected]
    stamp = pa.array([aware], pa.timestamp("us", tz="UTC"))
    assert Clock(zone).local(stamp).to_pylist() == [expected]


@given(moment=MOMENTS, zone=st.sampled_from([*ZONES, None]))
@settings(max_examples=50, deadline=None)
def test_a_time_without_an_offset_stays_whatever_the_zone(moment: datetime, zone: str | None) -> None:
    assert local(zone, moment.isoformat()) == [moment]
    assert Clock(zone).local(pa.array([moment], TIME)).to_pylist() == [moment]


@given(day=st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31)), zone=st.sampled_from([*ZONES, None]))
@settings(max_examples=100, deadline=None)
def test_a_day_month_or_year_spans_itself_to_its_last_microsecond(day: date, zone: str | None) -> None:
    first, last = Clock(zone).span(pa.array([f"{day:%Y-%m-%d}", f"{day:%Y-%m}", f"{day:%Y}"]))
    start = datetime(day.year, day.month, day.day)
    assert first.to_pylist() == [start, start.replace(day=1), start.replace(month=1, day=1)]
    after = [end + timedelta(microseconds=1) for end in last.to_pylist()]
    following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    assert after == [start + timedelta(days=1), following, datetime(day.year + 1, 1, 1)]
    assert [part.to_pylist() for part in Clock(zone).span(pa.array([day]))] == [
        [start],
        [after[0] - timedelta.resolution],
    ]


def test_summer_time_in_new_york() -> None:
    assert local("America/New_York", "2009-03-08T06:59:59Z", "2009-03-08T07:00:00Z") == [
        datetime(2009, 3, 8, 1, 59, 59),
        datetime(2009, 3, 8, 3),
    ]
    # the clock shows 01:30 twice: an hour apart, and the same reading
    assert (
        local("America/New_York", "2009-11-01T05:30:00Z", "2009-11-01T06:30:00Z") == [datetime(2009, 11, 1, 1, 30)] * 2
    )
    # a reading that the clock skipped is taken as it stands
    assert local("America/New_York", "2009-03-08T02:30:00") == [datetime(2009, 3, 8, 2, 30)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2009-03-05T14:30", datetime(2009, 3, 5, 14, 30)),
        ("2009-03-05 14:30:00", datetime(2009, 3, 5, 14, 30)),
        (" 2009-03-05T14:30:00.5 ", datetime(2009, 3, 5, 14, 30, 0, 500_000)),
        ("2009-03-05T14:30:00.123456789", datetime(2009, 3, 5, 14, 30, 0, 123_456)),
        ("2009-03-05T14:30:60", datetime(2009, 3, 5, 14, 30, 59)),
        ("2009-03-05T14:30:00-0530", datetime(2009, 3, 5, 20)),
        ("2009-03-05T14:30:00+01", datetime(2009, 3, 5, 13, 30)),
        ("2008-02-29", datetime(2008, 2, 29)),
        ("9999-12-31T23:59:59-11:00", datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        ("", None),
        (None, None),
    ],
)
def test_texts(text: str | None, expected: datetime | None) -> None:
    assert local("UTC", text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "05.03.2009",
        "2009-02-29",
        "2009-13",
        "2009-00-01",
        "2009-01-00",
        "0000-01-01",
        "2009-01-01T24:00:00",
        "2009-01-01T10:61:00",
        "2009-01-01T10",
        "2009-01-01T10:00:00+1",
        "2009-01-01T10:00:00+24:00",
        "2009-01-01Z",
    ],
)
def test_what_is_no_time_is_refused_by_number_and_never_quoted(text: str) -> None:
    values = pa.array(["2009-01-01", text, None])
    assert Clock("UTC").read(values).unreadable.tolist() == [False, True, False]
    assert Clock("UTC").read(values).time.null_count == 2
    with pytest.raises(
        CohortError, match=r'^visits\.start: 1 times cannot be read; expected times such as "2009'
    ) as caught:
        Clock("UTC").local(values, "visits.start")
    assert text not in str(caught.value)


def test_without_a_zone_one_offset_is_taken_as_it_reads_and_counted() -> None:
    account = Account()
    clock = Clock(None, account)
    assert clock.local(pa.array(["2009-03-05T14:30:00+01:00", "2009-03-05"])).to_pylist() == [
        datetime(2009, 3, 5, 14, 30),
        datetime(2009, 3, 5),
    ]
    assert account.counts == {OWN_CLOCK: 1}
    with pytest.raises(CohortError, match="2 different offsets from UTC; name the hospital's zone"):
        clock.local(pa.array(["2009-07-05T14:30:00+02:00"]))  # in a batch of its own


@pytest.mark.parametrize("zone", ["Europe/Vienna", "Asia/Hong_Kong", "America/New_York"])
def test_stand_ins_for_never_stay_as_they_are(zone: str) -> None:
    stands = ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
    assert local(zone, *stands) == [datetime(9999, 12, 31, 23, 59, 59), datetime(1, 1, 1)]


@pytest.mark.parametrize("first", [0, 1])
def test_without_a_zone_times_with_and_without_an_offset_are_refused(first: int) -> None:
    texts = ["2009-03-05T14:30:00+01:00", "2009-03-05T14:30:00"]
    clock = Clock(None)
    clock.local(pa.array([texts[first]]))
    with pytest.raises(CohortError, match="some times have an offset from UTC, others none; name the hospital's zone"):
        clock.local(pa.array([texts[1 - first]]))


def test_stamps_of_a_zone_without_records_timezone() -> None:
    winter, summer = datetime(2009, 1, 5, 12), datetime(2009, 7, 5, 12)
    utc = pa.array([winter, summer], pa.timestamp("us", tz="UTC"))
    assert Clock(None).local(utc).to_pylist() == [winter, summer]
    with pytest.raises(CohortError, match="2 different offsets"):
        Clock(None).local(utc.cast(pa.timestamp("us", tz="Europe/Vienna")))
    clock = Clock(None)
    clock.local(utc)
    with pytest.raises(CohortError, match="some times have an offset"):
        clock.local(pa.array([winter], TIME))
    assert Clock("Asia/Hong_Kong").local(utc).to_pylist() == [winter + timedelta(hours=8), summer + timedelta(hours=8)]


def test_other_arrow_types() -> None:
    clock = Clock("Europe/Vienna")
    noon = datetime(2009, 3, 5, 12)
    nanoseconds = pa.array([1_236_254_400_000_000_999], pa.timestamp("ns"))
    assert clock.local(nanoseconds).to_pylist() == [noon]
    assert clock.local(pa.array([noon], pa.timestamp("s"))).type == TIME
    assert clock.local(pa.chunked_array([["2009"], ["2010"]])).to_pylist() == [
        datetime(2009, 1, 1),
        datetime(2010, 1, 1),
    ]
    assert clock.local(pa.array(["2009", "2009"]).dictionary_encode()).to_pylist() == [datetime(2009, 1, 1)] * 2
    assert clock.local(pa.nulls(2)).to_pylist() == [None, None]
    assert len(clock.local(pa.array([], pa.string()))) == 0
    with pytest.raises(CohortError, match=r"person\.birth: holds int64; expected times such as"):
        clock.local(pa.array([2009]), "person.birth")


def test_day_forgets_the_hour() -> None:
    first, last = Clock("Europe/Vienna").day(pa.array(["2009-03-05T23:30:00Z", "2009-03-05", None]))
    assert first.to_pylist() == [datetime(2009, 3, 6), datetime(2009, 3, 5), None]
    assert last.to_pylist() == [
        datetime(2009, 3, 6, 23, 59, 59, 999_999),
        datetime(2009, 3, 5, 23, 59, 59, 999_999),
        None,
    ]


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'records\.timezone: no time zone "Mars/Olympus" on this machine'):
        Clock("Mars/Olympus")
