"""What was spent is remembered by population, over runs and processes, and never beyond a budget."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from client.privacy.accounting import Charge, epsilon_of
from client.privacy.ledger import LEDGER, PrivacyLedger, together
from client.privacy.policy import PrivacyPolicy
from client.refusals import BudgetError, code_of
from common.errors import ConfigError

ROUND = Charge(0.1, 2.0, 50)
SCORES = Charge(1.0, 10.0, 1)
TEN = epsilon_of([Charge(0.1, 2.0, 500)], 1e-5)  # what ten rounds cost


def test_rounds_compose_until_the_budget_is_spent(tmp_path: Path) -> None:
    policy = PrivacyPolicy(epsilon=TEN)
    for number in range(10):
        PrivacyLedger(tmp_path).charge({"weights": ROUND}, {"hill": policy}, f"run-{number % 2}")  # each time anew
    before = (tmp_path / LEDGER).read_bytes()
    ledger = PrivacyLedger(tmp_path)
    with pytest.raises(BudgetError, match=r"population hill: policy.privacy.epsilon is .* with this task .* would be"):
        ledger.charge({"weights": ROUND}, {"hill": policy}, "run-9")
    assert (tmp_path / LEDGER).read_bytes() == before
    assert together(ledger.spent("hill")) == [Charge(0.1, 2.0, 500)]
    assert [(each.run, each.steps) for each in ledger.spent("hill")] == [("run-0", 250), ("run-1", 250)]
    ledger.charge({"weights": ROUND}, {"lake": policy}, "run-9")  # other patients


def test_what_is_refused_has_a_code_of_its_own() -> None:
    with pytest.raises(BudgetError) as raised:
        PrivacyLedger().charge({"weights": ROUND}, {"hill": PrivacyPolicy(epsilon=0.1)}, "r")
    assert code_of(raised.value) == "budget-spent"


def test_all_of_a_task_is_charged_or_nothing(tmp_path: Path) -> None:
    ledger = PrivacyLedger(tmp_path)
    small, large = PrivacyPolicy(epsilon=0.01), PrivacyPolicy(epsilon=50.0)
    with pytest.raises(BudgetError, match="population small"):
        ledger.charge({"weights": ROUND, "scores": SCORES}, {"large": large, "small": small}, "r")
    assert not (tmp_path / LEDGER).exists()
    ledger.charge({"weights": ROUND, "scores": SCORES}, {"large": large, "free": None}, "r")
    for name in ("large", "free"):
        assert together(PrivacyLedger(tmp_path).spent(name)) == [ROUND, SCORES]


def test_a_smaller_delta_finds_the_same_charges_dearer(tmp_path: Path) -> None:
    ledger = PrivacyLedger(tmp_path)
    ledger.charge({"weights": Charge(0.1, 2.0, 499)}, {"hill": PrivacyPolicy(epsilon=TEN)}, "r")
    with pytest.raises(BudgetError):
        ledger.charge({"weights": Charge(0.1, 2.0, 1)}, {"hill": PrivacyPolicy(epsilon=TEN, delta=1e-6)}, "r")


def test_what_cannot_be_written_down_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = PrivacyLedger(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.charge({"weights": ROUND}, {"hill": None}, "r")
    assert ledger.spent("hill") == []


@pytest.mark.parametrize(
    "content", ["", "{}x", '{"populations": {"hill": [{"run": "r"}]}}', '{"populations": {}, "more": 1}']
)
def test_a_file_that_is_no_ledger_is_not_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / LEDGER).write_text(content)
    with pytest.raises(ConfigError, match="not a ledger of privacy"):
        PrivacyLedger(tmp_path)
    assert (tmp_path / LEDGER).read_text() == content


@pytest.mark.parametrize(("key", "value"), [("rate", 1.5), ("noise", 0.0), ("steps", 0)])
def test_a_charge_that_cannot_be_is_no_ledger(tmp_path: Path, key: str, value: float) -> None:
    PrivacyLedger(tmp_path).charge({"weights": ROUND}, {"hill": None}, "r")
    content = json.loads((tmp_path / LEDGER).read_text())
    content["populations"]["hill"][0][key] = value
    (tmp_path / LEDGER).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="not a ledger of privacy"):
        PrivacyLedger(tmp_path)
