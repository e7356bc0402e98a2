"""Under a federation's [privacy], what is attacked is trained with the noise of a site's agent, draw by draw."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from attacks.bench import Bench
from attacks.noise import Noisy, trainer_of
from attacks.pool import Pool, draw
from attacks.released import release
from attacks.rounds import learn
from attacks.trainers import Plain
from client.privacy.accounting import epsilon_of
from client.privacy.training import charge_of
from client.training import State
from common.cli import main
from common.privacy import Privacy

Whole = Callable[[Bench], Pool]
Simulated = Callable[[dict[str, Any], str], State]
PRIVACY = {"epsilon": 3.0, "clip": 0.5}
NOISE = {"noise_multiplier": 1.5, "clip": 0.5}
NAMES = ["allegheny", "salt-lake"]


@pytest.fixture
def drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the operating system give one key, so that all noise is drawn again."""
    monkeypatch.setattr("client.privacy.randomness.secrets", SimpleNamespace(token_bytes=bytes))


@pytest.fixture
def sites(hospitals: Path, tmp_path: Path) -> dict[str, Any]:
    """The pair, where every patient of Salt Lake comes twice, and nobody there is old."""
    patients = pd.read_csv(hospitals / "salt-lake.csv", dtype=str)
    patients["who"] = np.arange(len(patients)) // 2
    patients["age_years"] = patients["age_years"].where(patients["age_years"].astype(float) < 65, "40")
    patients.to_csv(tmp_path / "salt-lake.csv", index=False)
    text = (hospitals / "salt-lake.toml").read_text()
    (tmp_path / "salt-lake.toml").write_text(
        text.replace('id = "encounter_id"', 'id = "encounter_id"\npatient = "who"')
    )
    files = {"allegheny": hospitals / "allegheny.toml", "salt-lake": tmp_path / "salt-lake.toml"}
    return {name: {"file": str(file)} for name, file in files.items()}


def same(found: State, expected: State) -> bool:
    return bool(expected) and all(torch.equal(found[key], values) for key, values in expected.items())


@pytest.mark.parametrize("sources", [["salt-lake"], NAMES], ids="+".join)
@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.usefixtures("drawn_again")
def test_sources_give_what_a_run_gives(
    make: Any, whole: Whole, simulated: Simulated, sites: dict[str, Any], sources: list[str], rounds: int
) -> None:
    changes: dict[str, Any] = {"sites": sites, "strategies": ["direct"], "privacy": NOISE}
    changes |= {"training": {"rounds": rounds}, "directions": [{"sources": sources, "targets": []}]}
    changes["embeddings"] = ["minilm"]
    bench, _ = make(Noisy(Privacy(**NOISE)), **changes)
    parties = bench.sources(sources, whole(bench))
    for place, name in enumerate(sources):
        if name != "salt-lake":  # all that it has, where an audit takes as many as the site has
            stage = replace(parties[place].stages[0], train=bench.prepared(name).splits["train"])
            parties[place] = replace(parties[place], stages=[stage])
    found = learn(parties, bench.start(), bench.federation.model, bench.trainer)
    assert same(found[0], simulated(changes, "+".join(sources)))


@pytest.mark.parametrize(
    ("strategy", "privacy"), [("linear", NOISE), ("full", NOISE), ("half-way", NOISE), ("layer-wise", PRIVACY)]
)
@pytest.mark.usefixtures("drawn_again")
def test_a_target_gives_what_a_run_gives(
    make: Any, whole: Whole, simulated: Simulated, sites: dict[str, Any], strategy: str, privacy: dict[str, float]
) -> None:
    changes: dict[str, Any] = {"sites": sites, "strategies": [strategy], "privacy": privacy, "embeddings": ["minilm"]}
    changes["directions"] = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    bench, _ = make(Noisy(Privacy(**privacy)), **changes)
    found = release(bench, strategy, ["allegheny"], whole(bench)).models[0]
    assert same(found, simulated(changes, strategy))


def test_without_a_fixed_key_no_training_is_drawn_again(make: Any) -> None:
    bench, _ = make(Noisy(Privacy(**NOISE)), privacy=NOISE, strategies=["direct"])
    pool = draw(bench.population, 100, 8, 7)
    pool = replace(pool, trained=pool.trained[[0, 0]], held=pool.held[[0, 0]])  # one site, twice
    one, other = release(bench, "direct", ["allegheny", "salt-lake"], pool).models
    assert not same(one, other)


def test_a_site_s_training_costs_the_epsilon_that_was_asked_for(make: Any) -> None:
    """By the number of patients of the simulated site, over all rounds."""
    bench, _ = make(Noisy(Privacy(**PRIVACY)), privacy=PRIVACY, training={"rounds": 3})
    for size in (40, 300):
        pool = draw(bench.population, size, 8, 7)
        stage = bench.sources(["salt-lake"], pool)[0].stages[0]
        noise = bench.trainer._guard(stage, 1).noise
        spent = epsilon_of([charge_of(stage.training, int(pool.trained[0].sum()), noise, 3)], 1e-5)
        assert 2.9 < spent <= 3.0


def test_what_leaves_is_the_last_model_and_counts_are_of_patients(make: Any, sites: dict[str, Any]) -> None:
    bench, _ = make(Noisy(Privacy(**PRIVACY)), privacy=PRIVACY, sites=sites)
    stage = bench.sources(["salt-lake"], draw(bench.population, 900, 8, 7))[0].stages[0]
    assert len(stage.validation) == 0
    assert stage.train.patients is not None
    assert bench.trainer.counted(stage.train) == len(stage.train.patients.unique()) < len(stage.train)
    assert Plain().counted(stage.train) == len(stage.train)


def test_rows_are_of_all_that_is_declared(make: Any, sites: dict[str, Any]) -> None:
    noisy, plain = (make(sites=sites, embeddings=["minilm"], **more)[0] for more in ({"privacy": PRIVACY}, {}))
    assert len(noisy.population.table) > len(plain.population.table)  # the old, of whom there are none


def test_the_command_trains_with_the_federation_s_noise(write: Any, tmp_path: Path) -> None:
    """Much noise: nobody is found, no token is said to be there, and the table says what was attacked."""
    changes: dict[str, Any] = {"embeddings": ["one-hot"], "strategies": ["direct"], "training": {"rounds": 1}}
    changes["directions"] = [{"sources": ["salt-lake"], "targets": []}]
    path = write(**changes, privacy={"noise_multiplier": 100.0, "clip": 0.1})
    options = ["--site", "salt-lake", "--size", "40", "--models", "24", "--out", str(tmp_path / "audit")]
    with pytest.raises(SystemExit) as ended:
        main(["audit-model", str(path), *options])
    assert ended.value.code == 0
    rows = pd.read_csv(tmp_path / "audit" / "attacks.csv", dtype={"detail": str})
    assert set(rows["defence"]) == {"noise 100"}
    lira = rows.query("attack == 'lira' and seen_by == 'everyone'").iloc[0]
    assert lira["auc_low"] < 0.5 < lira["auc_high"]
    assert (rows.query("attack == 'tokens'")["recall"] < 0.02).all()


def test_the_training_is_named_and_goes_to_other_processes() -> None:
    assert isinstance(trainer_of(None), Plain)
    for keys, name in (({"epsilon": 8}, "epsilon 8"), ({"noise_multiplier": 1.25}, "noise 1.25")):
        trainer = trainer_of(Privacy(**keys))
        assert trainer.defence == name
        assert pickle.loads(pickle.dumps(trainer)) == trainer
