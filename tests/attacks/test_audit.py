"""The command: its files, going on where it was cut off, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attacks.config import plan
from attacks.run import run
from attacks.summary import COLUMNS
from common.cli import main
from common.config import load_federation
from common.errors import ConfigError

Write = Callable[..., Path]
SMALL: dict[str, Any] = {
    "embeddings": ["one-hot"],
    "strategies": ["local", "direct", "linear", "full"],
    "directions": [
        {"sources": ["salt-lake"], "targets": []},
        {"sources": ["allegheny"], "targets": ["salt-lake"]},
    ],
    "tuning": {"batches": 2, "epochs": 1},
}


def audited(path: Path, out: Path, *options: str) -> pd.DataFrame:
    chosen = options or ("--size", "40")
    with pytest.raises(SystemExit) as ended:
        main(["audit-model", str(path), "--site", "salt-lake", "--models", "8", "--out", str(out), *chosen])
    assert ended.value.code == 0
    return pd.read_csv(out / "attacks.csv", dtype={"detail": str})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_attack_has_a_row_at_every_size_and_strategy(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = audited(write(**SMALL), tmp_path / "audit", "--size", "40", "--size", "300")
    assert tuple(rows.columns) == COLUMNS
    kinds = rows.groupby(["strategy", "size", "seen_by", "attack"])["detail"].apply(list).to_dict()
    tuned = {("everyone", "loss"), ("everyone", "lira"), ("everyone", "attribute"), ("coordinator", "tokens")}
    expected = {"direct": tuned | {("coordinator", "loss"), ("coordinator", "lira")}, "linear": tuned, "full": tuned}
    for strategy, attacks in expected.items():
        for size in (40, 300):
            assert {key[2:] for key in kinds if key[:2] == (strategy, size)} == attacks
            assert kinds[strategy, size, "coordinator", "tokens"] == ["1", "8", "32", "round"]
    assert (rows["defence"] == "none").all()
    assert rows["auroc"].between(0.4, 0.9).all()
    assert (rows["refused"] == (rows["size"] == 40)).all()  # fewer than 11 of a class to train on
    whole = json.loads((tmp_path / "audit" / "attacks.json").read_text())
    assert len(whole["attacks"]) == len(rows)
    assert whole["audit"]["models"] == 8
    said = capsys.readouterr().out
    assert "At size 40 the site's min_cell refuses to train" in said
    for title in ("Who was in it?", "Which value?", "What was in it?"):
        assert title in said


def test_tokens_that_were_seen_are_in_the_batch(write: Write, tmp_path: Path) -> None:
    rows = audited(write(**SMALL), tmp_path / "audit").query("attack == 'tokens'").set_index(["strategy", "detail"])
    for strategy in ("direct", "full"):
        for batch in ("1", "8", "32"):
            assert rows.loc[(strategy, batch), "precision"] == 1
            assert rows.loc[(strategy, batch), "auc"] > rows.loc[(strategy, batch), "baseline_auc"]
        assert rows.loc[(strategy, "1"), "right"] > rows.loc[(strategy, "1"), "baseline_right"] + 0.1
    assert (rows["baseline_auc"] > 0.8).all()  # most tokens are rare in every batch, or frequent in all
    assert rows.loc[("linear", "1"), "precision"] == 1
    assert rows.loc[("linear", "round"), "advantage"] == pytest.approx(0, abs=0.05)


def test_an_audit_that_was_cut_off_goes_on_to_the_same_bytes(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(**SMALL | {"strategies": ["direct", "linear"]})
    audited(path, tmp_path / "audit")
    whole = contents(tmp_path / "audit")
    for name in ("cases/direct_salt-lake_40.json", "attacks.csv"):
        (tmp_path / "audit" / name).unlink()
    audited(path, tmp_path / "audit")
    assert contents(tmp_path / "audit") == whole
    with pytest.raises(SystemExit) as ended:
        main(["audit-model", str(path), "--site", "salt-lake", "--size", "50", "--out", str(tmp_path / "audit")])
    assert ended.value.code == 1
    assert "holds another audit, or this one with other options" in capsys.readouterr().err


@pytest.mark.slow
def test_several_processes_give_the_same_bytes(write: Write, tmp_path: Path) -> None:
    path = write(**SMALL)
    audited(path, tmp_path / "one")
    audited(path, tmp_path / "two", "--size", "40", "--jobs", "2")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_of_three_sources_the_coordinator_may_see_the_sum_alone(write: Write, hospitals: Path, tmp_path: Path) -> None:
    text = (hospitals / "allegheny.toml").read_text().replace('file = "allegheny', f'file = "{hospitals}/allegheny')
    (tmp_path / "third.toml").write_text(text.replace('name = "allegheny"', 'name = "third"'))
    names = ["allegheny", "third", "salt-lake"]
    sites = {name: {"file": str(hospitals / f"{name}.toml")} for name in names}
    sites["third"] = {"file": str(tmp_path / "third.toml")}
    directions = [{"sources": names, "targets": []}]
    rows = audited(write(**SMALL | {"sites": sites, "directions": directions}), tmp_path / "audit")
    assert set(rows.query("attack == 'lira'")["seen_by"]) == {"everyone", "coordinator", "sum"}
    tokens = rows.query("attack == 'tokens'").set_index(["seen_by", "detail"])
    for batch in ("1", "8"):
        assert tokens.loc[("coordinator", batch), "precision"] == 1
        assert tokens.loc[("sum", batch), "precision"] < 0.9  # others' tokens are in it
        assert tokens.loc[("sum", batch), "recall"] >= tokens.loc[("coordinator", batch), "recall"]


@pytest.mark.parametrize(
    ("changes", "site", "sizes", "words"),
    [
        ({}, "lake", [40], "no site 'lake' under .sites.; expected one of allegheny, salt-lake"),
        ({"strategies": ["local"]}, "salt-lake", [40], "nothing that salt-lake gives away"),
        ({"aggregation": {"name": "FedMedian"}}, "salt-lake", [40], "the attacks know FedAvg alone"),
        ({"strategies": ["direct"], "model": {"classes": ["a", "b", "c"]}}, "salt-lake", [40], "for two classes"),
        ({}, "salt-lake", [40, 5000], r"size 5000: salt-lake has 2000 encounters; half of a pool of 10000"),
        ({}, "salt-lake", [5], "size 5 is too small to be a site; expected 10 encounters or more"),
    ],
)
def test_what_cannot_be_attacked(
    write: Write, tmp_path: Path, changes: dict[str, Any], site: str, sizes: list[int], words: str
) -> None:
    path = write(**SMALL | changes)
    with pytest.raises(ConfigError, match=words):
        run(plan(load_federation(path), path, site, sizes, 8), tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_a_finding_that_there_is_not(write: Write, tmp_path: Path) -> None:
    path = write(**SMALL)
    with pytest.raises(ConfigError, match="no finding 'C0424781' that some encounters have and others do not"):
        run(plan(load_federation(path), path, "salt-lake", [40], 8, "C0424781"), tmp_path / "audit")


def test_a_folder_with_something_else_is_left_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    path = write(**SMALL)
    with pytest.raises(ConfigError, match="not empty"):
        run(plan(load_federation(path), path, "salt-lake", [40], 8), tmp_path)
