"""The site's memory of what its patients have spent: it outlives runs, federations and the agent's process.

A charge is on disk before what it pays for is computed. Whatever dies in between, never less is written down than left.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from client.privacy.accounting import Charge, epsilon_of
from client.privacy.policy import PrivacyPolicy
from client.refusals import BudgetError
from common.errors import ConfigError
from common.files import write_atomically

LEDGER = "privacy.json"


class Spent(BaseModel):
    """Charges of one kind, by one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    what: str
    rate: float = Field(gt=0, le=1, allow_inf_nan=False)
    noise: float = Field(gt=0, allow_inf_nan=False)
    steps: int = Field(ge=1)
    last: datetime

    @property
    def charge(self) -> Charge:
        """What it is to the accountant."""
        return Charge(self.rate, self.noise, self.steps)


class _Written(BaseModel):
    """The file: for each population what was spent, oldest first."""

    model_config = ConfigDict(extra="forbid")

    populations: dict[str, list[Spent]] = {}


class PrivacyLedger:
    """What each population has spent.

    Parameters
    ----------
    folder : Path or None
        The agent's folder; None keeps the ledger in memory, as in a simulation.

    Raises
    ------
    ConfigError
        The file is there, but is no ledger. Without it what was spent would be forgotten, so it is not replaced.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = None if folder is None else folder / LEDGER
        self._written = _Written() if self.path is None else _read(self.path)

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of all that have spent something."""
        return tuple(self._written.populations)

    def spent(self, population: str) -> list[Spent]:
        """Give what a population has spent."""
        return list(self._written.populations.get(population, []))

    def charge(self, charges: Mapping[str, Charge], populations: Mapping[str, PrivacyPolicy | None], run: str) -> None:
        """Charge every population for what is about to be done; when this returns, it is on disk.

        Parameters
        ----------
        charges : mapping of str to Charge
            What each is for, in a word.
        populations : mapping of str to PrivacyPolicy or None
            The budget of each; None for no limit.

        Raises
        ------
        BudgetError
            A budget does not cover it; nothing is charged.
        OSError
            It cannot be written down; nothing may then be done.
        """
        if not charges:
            return
        after = {name: _added(self.spent(name), charges, run) for name in populations}
        for name, policy in populations.items():
            if policy is not None:
                _check(name, after[name], policy)
        self._write(_Written(populations=self._written.populations | after))

    def _write(self, written: _Written) -> None:
        """Write it all; what is in memory changes once it is on disk."""
        if self.path is not None:
            write_atomically(self.path, written.model_dump_json(indent=1) + "\n")
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the new name, too: a machine that loses power may not bring the old file back
            finally:
                os.close(folder)
        self._written = written


def together(spent: Sequence[Spent]) -> list[Charge]:
    """Add up charges that differ only in their steps, of whichever runs: the accountant composes fewer, faster."""
    steps: dict[tuple[float, float], int] = {}
    for each in spent:
        key = each.rate, each.noise
        steps[key] = steps.get(key, 0) + each.steps
    return [Charge(rate, noise, count) for (rate, noise), count in steps.items()]


def _added(spent: list[Spent], charges: Mapping[str, Charge], run: str) -> list[Spent]:
    """Add charges; those of a run that differ in nothing but steps are one."""
    now = datetime.now(UTC).replace(microsecond=0)
    for what, charge in charges.items():
        entry = Spent(run=run, what=what, rate=charge.rate, noise=charge.noise, steps=charge.steps, last=now)
        same = [each for each in spent if _key(each) == _key(entry)]
        spent = [each for each in spent if each not in same]
        spent.append(entry.model_copy(update={"steps": entry.steps + sum(each.steps for each in same)}))
    return spent


def _key(spent: Spent) -> tuple[str, str, float, float]:
    return spent.run, spent.what, spent.rate, spent.noise


def _check(name: str, after: Sequence[Spent], policy: PrivacyPolicy) -> None:
    epsilon = epsilon_of(together(after), policy.delta)
    if not epsilon <= policy.epsilon:
        raise BudgetError(
            f"population {name}: policy.privacy.epsilon is {policy.epsilon:g} at delta {policy.delta:g}; with this "
            f"task {epsilon:.3g} would be spent"
        )


def _read(path: Path) -> _Written:
    try:
        return _Written.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Written()
    except (OSError, ValidationError):
        raise ConfigError(
            f"{path}: not a ledger of privacy, or not readable; put back the file, or remove it to begin a new one "
            "(what was spent is then forgotten)"
        ) from None
