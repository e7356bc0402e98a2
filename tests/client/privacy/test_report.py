"""What people at the site are told: what was spent, what is asked, what leaves."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.asked import describe
from client.check.policy import look, look_at_all
from client.home.layout import Home
from client.policy import Policy
from client.privacy.accounting import Charge, _one_step, epsilon_of
from client.privacy.ledger import LEDGER, PrivacyLedger
from client.privacy.policy import PrivacyPolicy
from client.privacy.protection import population_of, populations
from client.privacy.report import in_words, spent
from client.sheet import render
from client.site_file import Site, load_site
from common.config import Federation, digest, load_federation
from common.errors import ConfigError
from study.config import load_study

CHARGE = Charge(0.1, 2.0, 100)
Load = Callable[..., Federation]


@pytest.fixture
def site(hospitals: Path, tmp_path: Path) -> Callable[[str], Site]:
    def made(section: str) -> Site:
        path = tmp_path / "site.toml"
        text = (hospitals / "allegheny.toml").read_text().replace('file = "', f'file = "{hospitals}/')
        path.write_text(f"{text}\n{section}\n")
        (tmp_path / "agent").mkdir(exist_ok=True)
        return load_site(path)

    return made


def test_spending_is_told_beside_the_budget(site: Callable[[str], Site], tmp_path: Path) -> None:
    mine = site("[policy.privacy]\nepsilon = 3.0")
    own = population_of(mine)
    assert in_words(spent(tmp_path, mine)[0]) == f"{own}: epsilon 0 spent, of 3, at delta 1e-05"
    ledger = PrivacyLedger(tmp_path)
    ledger.charge({"weights": CHARGE}, populations([mine]), "one")
    ledger.charge({"weights": CHARGE}, {"others": None}, "two")
    first, second = spent(tmp_path, mine)
    assert first["epsilon"] == second["epsilon"] == epsilon_of([CHARGE], 1e-5)
    assert in_words(first).startswith(f"{own}: epsilon {first['epsilon']:.3g} spent, of 3, at delta 1e-05, by 1 run, ")
    assert in_words(second).startswith("others: ")
    assert "no budget is set" in in_words(second)
    assert json.loads(json.dumps([first, second])) == [first, second]
    assert spent(tmp_path / "new", site("")) == []


def test_what_cannot_be_told_is_said(
    site: Callable[[str], Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PrivacyLedger(tmp_path).charge({"weights": Charge(1.0, 0.2, 10**6)}, {"others": None}, "two")
    assert "protects nobody" in in_words(spent(tmp_path, None)[0])
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("dp_accounting"):
            raise ImportError(name)
        return real(name, *rest, **more)

    PrivacyLedger(tmp_path / "agent").charge({"weights": CHARGE}, {"hill": None}, "two")
    _one_step.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'sitebridge[privacy]'" in in_words(spent(tmp_path / "agent", None)[0])
    said = list(look(Policy(privacy=PrivacyPolicy(epsilon=1.0))))
    assert any(level == "fail" and "sitebridge[privacy]" in text for level, text, *_ in said)
    monkeypatch.undo()
    (tmp_path / LEDGER).write_text("{")
    assert "not a ledger of privacy" in in_words(spent(tmp_path, None)[0])


def test_the_check_says_what_is_asked_and_warns_before_the_end(site: Callable[[str], Site], tmp_path: Path) -> None:
    assert any("may tell of single patients" in text for _, text, *_ in look(Policy()))
    cost = epsilon_of([CHARGE], 1e-5)
    mine = site(f"[policy.privacy]\nepsilon = {cost * 1.05}\nmetrics = 'exact'")
    PrivacyLedger(tmp_path / "agent").charge({"weights": CHARGE}, populations([mine]), "one")
    said = {text: level for level, text, *_ in look_at_all(Home(tmp_path), mine)}
    assert [level for text, level in said.items() if text.startswith(population_of(mine))] == ["warn"]
    assert [level for text, level in said.items() if "beside the privacy budget" in text] == ["warn"]
    assert any("for each patient in all; noise is asked for" in text for text in said)


def test_the_sheet_says_what_protects_a_patient(site: Callable[[str], Site]) -> None:
    assert "not proven to hide" in render(site(""))
    for metrics, words in [
        ("noised", "standard deviation 10 patients"),
        ("withheld", "No score leaves"),
        ("exact", "beside that budget"),
    ]:
        text = render(site(f"[policy.privacy]\nepsilon = 3.0\nmetrics = '{metrics}'"))
        assert "at most epsilon 3 at delta 1e-05" in text
        assert words in text
        assert "not proven to hide" not in text


def test_a_steward_is_told_how_much_noise_there_is(federation: Load) -> None:
    for privacy, words in [
        ({"epsilon": 3.0}, "each training costs a patient epsilon 3 at delta 1e-05, clip 1"),
        ({"noise_multiplier": 1.5, "clip": 0.5}, "with noise 1.5 times what a patient may add to a step, clip 0.5"),
    ]:
        asked = describe(federation(privacy=privacy), "allegheny", Policy())
        assert any(words in line for line in asked)
    strict = Policy(privacy=PrivacyPolicy(epsilon=1.0))
    assert any("refuses all training" in line for line in describe(federation(), "allegheny", strict))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"privacy": {"epsilon": 3.0, "noise_multiplier": 1.0}}, "give one of them"),
        ({"privacy": {}}, "give one of them"),
        ({"privacy": {"noise_multiplier": 0.0}}, "privacy.noise_multiplier"),
        ({"privacy": {"epsilon": 3.0}, "strategies": ["auto", "recalibrate"]}, "'recalibrate' tells numbers"),
        ({"privacy": {"epsilon": 3.0}, "model": {"kernel": 2}}, "model.kernel must be 1"),
    ],
)
def test_what_cannot_be_private_is_refused(write: Callable[..., Path], changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_federation(write(**changes))


def test_the_digest_that_is_approved_knows_the_noise(federation: Load) -> None:
    digests = {
        digest(federation(**more)) for more in ({}, {"privacy": {"epsilon": 3.0}}, {"privacy": {"epsilon": 4.0}})
    }
    assert len(digests) == 3


def test_a_study_trains_without_noise(tmp_path: Path, hospitals: Path) -> None:
    path = tmp_path / "study.toml"
    sites = "".join(f'[sites.{name}]\nfile = "{hospitals}/{name}.toml"\n' for name in ("allegheny", "salt-lake"))
    path.write_text(
        'name = "s"\nseeds = [1]\nembeddings = ["minilm"]\nstrategies = ["local"]\n'
        f'{sites}[[directions]]\nsources = ["allegheny"]\ntargets = ["salt-lake"]\n[overrides.privacy]\nepsilon = 3.0\n'
    )
    with pytest.raises(ConfigError, match=r"overrides.privacy: a study trains without noise"):
        load_study(path)
