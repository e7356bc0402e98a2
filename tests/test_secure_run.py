"""Whole runs whose coordinator sees sums alone: they give what plain ones give, whoever drops out, wherever cut off."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from client import hosting
from client.agent import Agent
from client.privacy import randomness
from common.config import Federation, load_federation
from common.errors import SiteError
from common.tasks import Answer, Request
from server.simulate import resume, run

Make = Callable[..., Federation]
Clinics = dict[str, dict[str, str]]
Floats = NDArray[np.float64]

STEP = 2.0**-27  # the most by which a mean change in fixed point differs from the exact one
GO_ON = {"policy": "continue", "at_least": 3, "retries": 0}


@pytest.fixture
def summed(federation: Make, clinics: Clinics) -> Make:
    """A federation of some of the clinics, which learn together; one round unless it says more."""

    def made(sources: str = "abc", secure: bool = True, rounds: int = 1, **changes: Any) -> Federation:
        aggregation = {"secure": secure, **changes.pop("aggregation", {})}
        return federation(
            **{
                "embeddings": ["one-hot"],
                "strategies": ["direct"],
                "sites": {name: clinics[name] for name in sources},
                "directions": [{"sources": list(sources)}],
                "training": {"rounds": rounds, "epochs": 1, "batches": 4, "batch_size": 64},
                "aggregation": aggregation,
                **changes,
            }
        )

    return made


def learnt(checked: Federation, folder: Path) -> Floats:
    """Run a federation and give the weights that its sources learnt."""
    run(checked, folder.parent / "federation.toml", folder)
    return weights_of(folder)


def weights_of(folder: Path) -> Floats:
    (path,) = folder.glob("weights/*_source.safetensors")
    arrays = safetensors.numpy.load_file(path)
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays)]).astype(np.float64)


def allowed(weights: Floats, factor: float = 1.0) -> Floats:
    """How far a secure sum's weights may be from plain ones: in fixed point, and in two roundings to float32."""
    return factor * STEP + np.abs(weights) * 2.0**-23


@contextmanager
def failing(when: Mapping[str, str]) -> Iterator[Counter[str]]:
    """Let agents fail: for each stage, "train" where nothing is masked, the sites; counts what is asked of them."""
    real, asked = Agent.answer, Counter[str]()

    def answer(self: Agent, request: Request) -> Answer:
        task = json.loads(request.task)
        training = task.get("strategy") == "source"
        stage = (task["secure"] or {"stage": "train"})["stage"] if training else task["kind"]
        asked[stage] += 1
        return Answer("agent-down", self.name) if self.name in when.get(stage, "") else real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "answer", answer)
        yield asked


@pytest.mark.parametrize(
    ("aggregation", "factor"),
    [
        ({}, 1),
        ({"weights": "equal"}, 1),
        ({"name": "FedAvgM", "options": {"server_momentum": 0.5}}, 1),
        ({"name": "FedProx", "options": {"proximal_mu": 0.1}}, 1),
        ({"name": "FedAdam"}, 12),  # a step errs by eta (1 - beta_1) / (tau sqrt(beta_2)) = 10.05 of the change's
    ],
)
def test_a_sum_gives_the_weights_of_a_plain_run(
    summed: Make, tmp_path: Path, aggregation: dict[str, Any], factor: float
) -> None:
    plain = learnt(summed(secure=False, aggregation=aggregation), tmp_path / "plain")
    secure = learnt(summed(aggregation=aggregation), tmp_path / "secure")
    assert (np.abs(secure - plain) <= allowed(plain, factor)).all()
    assert np.abs(plain).max() > 0.1  # an error of STEP is small beside them


def test_every_aggregation_and_the_choice_of_the_round_go_on_from_the_sum(summed: Make, tmp_path: Path) -> None:
    tables = {}
    for secure in (True, False):
        folder = tmp_path / str(secure)
        strategies = ["direct", "pooled"]  # pooled is one site, and sums nothing
        learnt(summed(secure=secure, rounds=4, strategies=strategies, aggregation={"name": "FedAdam"}), folder)
        tables[secure] = pd.read_csv(folder / "results.csv")[["strategy", "site", "split", "n", "threshold", "auroc"]]
    pd.testing.assert_frame_equal(tables[True], tables[False], atol=2e-3)


def test_the_round_is_chosen_by_the_scores_sum(summed: Make, tmp_path: Path) -> None:
    """A score of what came is in the sum; by it training stops, and goes back to the best round."""
    ends = []
    for secure in (True, False):
        training = {"rounds": 12, "patience": 1, "epochs": 1, "batches": 4, "batch_size": 64, "learning_rate": 0.3}
        learnt(summed(secure=secure, training=training), tmp_path / str(secure))
        rounds = pd.read_csv(tmp_path / str(secure) / "rounds.csv")
        ends.append((rounds["round"].max(), weights_of(tmp_path / str(secure))))
    assert ends[0][0] == ends[1][0] < 12
    assert np.abs(ends[0][1] - ends[1][1]).max() < 1e-4


def test_nothing_of_one_source_is_in_what_the_run_keeps(summed: Make, tmp_path: Path) -> None:
    """Its account of what crossed, its attendance, its updates: masked words, no encounters, no length of a change."""
    learnt(summed(rounds=2), tmp_path / "secure")
    crossed = pd.read_csv(tmp_path / "secure" / "exchange.csv", keep_default_na=False)
    back = crossed[(crossed.phase == "source") & (crossed["round"] > 0) & (crossed.direction == "back")]
    assert set(back.arrays) == {"masked", ""}
    rounds = pd.read_csv(tmp_path / "secure" / "rounds.csv")
    assert rounds[rounds["round"] > 0][["encounters", "validation_auroc", "validation_n"]].isna().all(axis=None)
    assert list(rounds[rounds["round"] > 0]["site"]) == [*"abcabc"]  # once a round, not once a step
    assert (tmp_path / "secure" / "updates.csv").read_text().count("\n") == 1
    assert not (tmp_path / "secure" / "sources.csv").exists()


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ({"mask": "g"}, "abcdef"),  # it never answers
        ({"open": "g"}, "abcdefg"),  # it dies between its update and the shares: the others have enough
        ({"mask": "b", "agree": "g"}, "acdefg"),
        ({"mask": "b", "open": "a"}, "acdefg"),
        ({"mask": "cf"}, "abdeg"),
    ],
)
def test_the_sum_is_that_of_those_who_are_left(summed: Make, tmp_path: Path, when: dict[str, str], left: str) -> None:
    gone = "".join(sorted(set("abcdefg") - set(left)))
    with failing({"train": gone}):
        plain = learnt(summed("abcdefg", secure=False, failures=GO_ON), tmp_path / "plain")
    with failing(when) as asked:
        secure = learnt(summed("abcdefg", failures=GO_ON), tmp_path / "secure")
    assert (np.abs(secure - plain) <= allowed(plain)).all()
    assert asked["agree"] == (len(left) if gone else 0)
    rounds = pd.read_csv(tmp_path / "secure" / "rounds.csv").query("round == 1").set_index("site")
    assert "".join(rounds.index[rounds.contributed == "yes"]) == left


@pytest.mark.parametrize(
    ("sources", "when", "words"),
    [
        ("abcdefg", {"mask": "efg"}, "source, round 1: site e: .*; site f: .*; site g: "),  # 4 are left; 5 are needed
        ("abcdefg", {"mask": "fg", "agree": "a"}, "round 1: site a: "),  # 4 have signed
        ("abcdefg", {"open": "efg"}, "site e: .*; site f: .*; site g: "),
        ("abc", {"mask": "b"}, "site b: the site's agent does not answer"),
        ("abc", {"open": "ab"}, "site a: .*; site b: "),
    ],
)
def test_too_few_open_nothing(summed: Make, tmp_path: Path, sources: str, when: dict[str, str], words: str) -> None:
    with failing(when), pytest.raises(SiteError, match=words):
        learnt(summed(sources, failures=GO_ON | {"at_least": 1}), tmp_path / "secure")
    assert not list((tmp_path / "secure").glob("weights/*"))


def test_of_three_sites_one_may_die_once_it_has_sent_its_update(summed: Make, tmp_path: Path) -> None:
    plain = learnt(summed(secure=False), tmp_path / "plain")
    with failing({"open": "b"}):
        secure = learnt(summed(failures=GO_ON), tmp_path / "secure")
    assert (np.abs(secure - plain) <= allowed(plain)).all()


def test_a_site_that_fails_stops_the_run_where_its_policy_is_to_stop(summed: Make, tmp_path: Path) -> None:
    with failing({"open": "b"}), pytest.raises(SiteError, match="site b: the site's agent does not answer"):
        learnt(summed(failures={"retries": 0}), tmp_path / "secure")
    resume(tmp_path / "secure")
    whole = learnt(summed(), tmp_path / "whole")
    assert np.array_equal(weights_of(tmp_path / "secure"), whole)


class CutOff(BaseException):
    """As abrupt as a kill that a process can still be told of."""


@contextmanager
def cut_off_at(number: int) -> Iterator[None]:
    real, asked = Agent.answer, 0

    def answer(self: Agent, request: Request) -> Answer:
        nonlocal asked
        asked += 1
        if asked == number:
            raise CutOff
        return real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "answer", answer)
        with pytest.raises(CutOff):
            yield


def contents(folder: Path) -> dict[str, str]:
    apart = ("events.jsonl", "federation.toml")  # has times, and its own place
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in apart]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_run_goes_on_to_the_same_bytes_wherever_it_was_cut_off(summed: Make, tmp_path: Path) -> None:
    """In the middle of masks (5, 11), of shares (8, 15), between the two (7)."""
    checked = summed(rounds=2)
    learnt(checked, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    for number in (5, 7, 8, 11, 15):
        folder = tmp_path / f"cut{number:02}"  # as long as "whole": the name is in what crosses
        with cut_off_at(number):
            run(checked, tmp_path / "federation.toml", folder)
        resume(folder)
        assert contents(folder) == whole


def test_a_run_in_a_folder_of_another_name_goes_on_between_rounds_and_not_within_one(
    summed: Make, tmp_path: Path
) -> None:
    """The folder's name is the run's, for which sites have drawn their keys."""
    checked = summed(rounds=2)
    whole = learnt(checked, tmp_path / "whole")
    for number, goes_on in ((10, True), (8, False)):
        folder, other = tmp_path / f"cut{number:02}", tmp_path / f"new{number:02}"
        with cut_off_at(number):
            run(checked, tmp_path / "federation.toml", folder)
        folder.rename(other)
        if not goes_on:
            with pytest.raises(SiteError, match="a step of secure aggregation that could uncover an update"):
                resume(other)
            other.rename(folder)
        resume(other if goes_on else folder)
        assert np.array_equal(weights_of(other if goes_on else folder), whole)


def test_an_agent_that_starts_again_between_mask_and_shares(summed: Make, tmp_path: Path) -> None:
    whole = learnt(summed(rounds=2), tmp_path / "whole")
    real = Agent.answer
    started: list[str] = []

    def answer(self: Agent, request: Request) -> Answer:
        if '"stage":"open"' in request.task and self.name == "b":
            site, vault = self.sites, type(self.vault)(self.vault.folder)
            started.append(self.name)
            return real(Agent(site, vault=vault), request)
        return real(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Agent, "answer", answer)
        again = learnt(summed(rounds=2), tmp_path / "again")
    assert started == ["b", "b"]
    assert np.array_equal(again, whole)


@pytest.fixture
def drawn_alike(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let every run draw its noise from the same keys; gives what begins anew."""
    number = 0

    def key(size: int) -> bytes:
        nonlocal number
        number += 1
        return number.to_bytes(size, "big")

    def anew() -> None:
        nonlocal number
        number = 0

    monkeypatch.setattr(randomness.secrets, "token_bytes", key)
    return anew


PRIVACY = {"noise_multiplier": 1.0, "clip": 0.5}


def test_with_noise_at_the_sites_the_sum_is_that_of_noised_updates(
    summed: Make, tmp_path: Path, drawn_alike: Callable[[], None]
) -> None:
    found = []
    for secure in (False, True):
        drawn_alike()
        found.append(learnt(summed(secure=secure, privacy=PRIVACY), tmp_path / str(secure)))
    plain, secured = found
    assert (np.abs(secured - plain) <= allowed(plain)).all()
    drawn_alike()
    without = learnt(summed(), tmp_path / "without")
    assert np.abs(secured - without).max() > 0.01  # there was noise


def test_a_noised_run_goes_on_where_the_update_has_left(summed: Make, tmp_path: Path) -> None:
    """The update is asked for once more, drawn anew it would be another; what was sent is sent again."""
    with cut_off_at(6):  # the third update of round 1; two have left, and are in no journal
        run(summed(privacy=PRIVACY), tmp_path / "federation.toml", tmp_path / "secure")
    assert {path.parent.name for path in tmp_path.glob("secure/journal/sites/*/masked.safetensors")} == {"a", "b"}
    hosting._agents.clear()
    resume(tmp_path / "secure")
    assert np.isfinite(weights_of(tmp_path / "secure")).all()


def demanding(clinics: Clinics, folder: Path, names: str, policy: str) -> Clinics:
    """Site entries of which some have a line more of policy."""
    entries = dict(clinics)
    for name in names:
        path = Path(clinics[name]["file"])
        own = folder / path.name
        content = path.read_text().replace(f'"{name}.csv"', f'"{path.parent / name}.csv"')
        own.write_text(content + policy)
        entries[name] = {"file": str(own)}
    return entries


def test_a_site_that_demands_a_secure_sum_refuses_a_plain_round(summed: Make, clinics: Clinics, tmp_path: Path) -> None:
    entries = demanding(clinics, tmp_path, "b", 'secure = "require"\n')
    sites = {name: entries[name] for name in "abc"}
    with pytest.raises(SiteError, match="site b: the site's policy lets updates out in a secure sum only") as refused:
        learnt(summed(secure=False, sites=sites), tmp_path / "plain")
    assert 'policy.secure is "require"; the federation has no [aggregation] secure' in str(refused.value)
    assert learnt(summed(sites=sites), tmp_path / "secure").size


@pytest.mark.slow
def test_the_example_on_the_laboratorys_data(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITEBRIDGE_DATA", str(data.resolve()))
    path = Path(__file__).parents[1] / "configs" / "secure.toml"
    small = {"seeds": [215], "embeddings": ["one-hot"], "strategies": ["direct"], "intervals": 100}
    checked = load_federation(path, small | {"training": {"rounds": 1, "epochs": 1}})
    assert checked.aggregation.secure
    run(checked, path, tmp_path / "run")
    table = pd.read_csv(tmp_path / "run" / "results.csv").query("strategy == 'direct' and split == 'test'")
    assert table.auroc.item() > 0.85
