"""Encounters from the events of a MEDS data set that begin and end one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pydantic import Field

from client.records.contract import ENCOUNTERS, Account
from common.errors import CohortError
from common.toml import Declared

TWICE = "encounters written twice: taken once"
IDLE = "keys of encounters.starts that no row has"
ENDS = "encounters with more than one end: the last is taken"


class EncounterMarks(Declared):
    """Which codes begin and end an encounter; one that ends in * stands for all codes that begin so.

    Attributes
    ----------
    starts : dict of str to str
        The kind of encounter by the code that begins it.
    end : tuple of str
    column : str, optional
        The column that names the encounter. Without it a subject's encounters are numbered by their starts, and each
        ends with the first end that follows, unless another encounter starts before.
    """

    starts: dict[str, str] = Field(min_length=1)
    end: tuple[str, ...] = ()
    column: str | None = None

    def kind(self, code: str) -> str | None:
        """Give the kind of encounter that a code begins, if it begins one."""
        fitting = [mark for mark in self.starts if _fits(mark, code)]
        return self.starts[max(fitting, key=len)] if fitting else None

    def idle(self, codes: Iterable[str]) -> int:
        """Count the keys of `starts` that none of some codes fits."""
        codes = list(codes)
        return sum(not any(_fits(mark, code) for code in codes) for mark in self.starts)

    def ends(self, code: str) -> bool:
        """Say whether a code ends an encounter."""
        return any(_fits(mark, code) for mark in self.end)


def _fits(mark: str, code: str) -> bool:
    return code.startswith(mark[:-1]) if mark.endswith("*") else code == mark


def name_of(ids: Any, where: str) -> Any:
    """Give ids as text, whole numbers without ".0", null where there is none.

    Raises
    ------
    CohortError
        They are numbers that are not whole, or beyond int64.
    """
    if pa.types.is_floating(ids.type):
        ids = ids.cast(pa.float64())  # Arrow rounds no half floats
        ids = pc.if_else(pc.is_nan(ids), pa.scalar(None, ids.type), ids)
        wrong = pc.or_(pc.not_equal(ids, pc.floor(ids)), pc.greater_equal(pc.abs(ids), 2.0**63))
        if count := pc.sum(wrong, min_count=0).as_py():
            raise CohortError(f"{where}: {count} numbers of encounters are not whole, or too large; write them as text")
        ids = ids.cast(pa.int64())
    return ids.cast(pa.string())


def find_births(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Give the birth of each subject, as "subject" and "birth".

    Parameters
    ----------
    rows : DataFrame of subject and time
        Of the code that says a birth.

    Raises
    ------
    CohortError
        A subject has two births.
    """
    births = rows.dropna().drop_duplicates()
    if count := int(births["subject"].duplicated(keep="first").sum()):
        raise CohortError(f"{path.name}: {count} subjects have more than one birth; write the data set again")
    return births.rename(columns={"time": "birth"})


def pair(starts: pd.DataFrame, ends: pd.DataFrame, named: bool, account: Account) -> pd.DataFrame:
    """Give each start its end and its encounter's id.

    Parameters
    ----------
    starts, ends : DataFrame of subject, time, encounter; starts of kind and code, too
    named : bool
        The column "encounter" names the encounter; else it is made.
    """
    if named:
        ends = ends.dropna(subset=["time", "encounter"]).sort_values("time")
        last = ends.drop_duplicates(["subject", "encounter"], keep="last")
        account.add(ENDS, len(ends.drop_duplicates(["subject", "encounter", "time"])) - len(last))
        last = last[["subject", "encounter", "time"]].rename(columns={"time": "end"})
        return starts.merge(last, how="left", on=["subject", "encounter"])
    once = starts.drop_duplicates(["subject", "time", "code"])
    account.add(TWICE, len(starts) - len(once))
    once = once.sort_values(["subject", "time", "code"], kind="stable").reset_index(drop=True)
    number = (once.groupby("subject", dropna=False).cumcount() + 1).astype(str)
    once["encounter"] = once["subject"].astype(str) + "-" + number
    return once.assign(end=_next_end(once, ends))


def _next_end(starts: pd.DataFrame, ends: pd.DataFrame) -> NDArray[np.datetime64]:
    """Give the first end at or after each start, unless the subject's next encounter starts before it."""
    found = np.full(len(starts), np.datetime64("NaT", "us"))
    by = ["subject", "time"]
    known = starts.dropna(subset=by).reset_index(names="row")
    moments = known[by].drop_duplicates().sort_values(by)
    moments["next"] = moments.groupby("subject")["time"].shift(-1)
    known = known.merge(moments, on=by).sort_values("time", kind="stable")
    ends = ends.dropna(subset=by)[by].sort_values("time")
    if known.empty or ends.empty:  # a file of findings alone: pandas joins nothing to nothing with an error
        return found
    ends["end"] = ends["time"]
    joined = pd.merge_asof(known, ends, on="time", by="subject", direction="forward")
    clear = joined["next"].isna() | (joined["end"] <= joined["next"])
    found[joined["row"]] = joined["end"].where(clear).to_numpy()
    return found


def batch(rows: pd.DataFrame, births: pd.DataFrame) -> pa.RecordBatch:
    """Give encounters of the schema `ENCOUNTERS`."""
    rows = rows.merge(births, how="left", on="subject")
    columns = [
        pa.array(rows["encounter"], pa.string(), from_pandas=True),
        pa.array(rows["subject"], pa.string(), from_pandas=True),
        pa.array(rows["time"], pa.timestamp("us"), from_pandas=True),
        pa.array(rows["end"], pa.timestamp("us"), from_pandas=True),
        pa.array(rows["kind"], pa.string(), from_pandas=True),
        pa.array(rows["birth"], pa.timestamp("us"), from_pandas=True),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ENCOUNTERS)
