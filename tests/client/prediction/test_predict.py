"""`sitebridge predict`: the scores of training code, what they are made of, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from sklearn.metrics import brier_score_loss, roc_auc_score

from client.preparation import prepare
from client.site_file import load_site
from client.training import probabilities
from common.embeddings import Fingerprint, builtin_table, load_table
from common.model import ConceptCNN
from common.shape import ModelShape
from common.tasks import Embedding

Predict = Callable[..., pd.DataFrame]
Fails = Callable[..., str]
FULL = ("--embedding", "minilm", "--strategy", "full", "--seed", "7")
ONE_HOT = ("--embedding", "one-hot", *FULL[2:])


def logit(probability: pd.Series) -> np.ndarray:
    return np.log(probability / (1 - probability)).to_numpy()


def total(scores: pd.DataFrame) -> np.ndarray:
    """Bias, contributions and the rest of each row."""
    columns = [name for name in scores if name.startswith("contribution")]
    shown = scores[columns].replace("", "0").astype(float).sum(axis=1)
    return (scores["bias"] + shown + scores["others"]).to_numpy()


@pytest.mark.parametrize("embedding", ["minilm", "one-hot"])
@pytest.mark.parametrize("strategy", ["direct", "recalibrate", "linear", "full", "pooled"])
def test_scores_are_those_of_the_run(
    predict: Predict, small_run: Path, held_out: pd.DataFrame, embedding: str, strategy: str
) -> None:
    scores = predict("--embedding", embedding, "--strategy", strategy, "--seed", "8")
    assert scores["encounter_id"].tolist() == held_out["encounter_id"].tolist()
    positive = (held_out["influenza"] == "1").to_numpy()
    table = pd.read_csv(small_run / "results.csv", keep_default_na=False, na_values=[""])
    keys = {"embedding": embedding, "strategy": strategy, "seed": 8, "site": "salt-lake", "split": "test"}
    row = table[np.logical_and.reduce([table[name] == value for name, value in keys.items()])].iloc[0]
    assert roc_auc_score(positive, scores["probability"]) == pytest.approx(row["auroc"], abs=1e-6)
    assert brier_score_loss(positive, scores["probability"]) == pytest.approx(row["brier"], abs=1e-6)
    called = scores["called"].astype(int) == 1
    if pd.notna(row["sensitivity"]):
        assert called[positive].mean() == pytest.approx(row["sensitivity"], abs=1e-12)
    if pd.notna(row["specificity"]):
        assert 1 - called[~positive].mean() == pytest.approx(row["specificity"], abs=1e-12)
    assert 0 < called.sum() < len(called)


def test_probabilities_are_those_of_training_code(predict: Predict, small_run: Path, hospitals: Path) -> None:
    embedding = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
    data = prepare(load_site(hospitals / "salt-lake.toml"), embedding)
    model = ConceptCNN(data.table, ModelShape())
    model.load_state_dict(load_file(small_run / "weights" / "minilm_7_allegheny_full-salt-lake.safetensors"))
    expected = probabilities(model, data.splits["test"])
    np.testing.assert_allclose(predict(*FULL)["probability"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("concepts", ["0", "5", "100"])
def test_a_score_is_the_sum_of_what_is_shown(predict: Predict, concepts: str) -> None:
    scores = predict(*FULL, "--concepts", concepts)
    np.testing.assert_allclose(total(scores), logit(scores["probability"]), rtol=0, atol=1e-4)
    if concepts == "100":
        np.testing.assert_allclose(scores["others"], 0, atol=1e-9)
    if concepts == "5":
        columns = [f"contribution_{rank}" for rank in range(1, 6)]
        strength = scores[columns].replace("", "0").astype(float).abs().to_numpy()
        assert (np.diff(strength, axis=1) <= 0).all()


def test_the_concepts_shown_are_the_encounters_own(predict: Predict, held_out: pd.DataFrame) -> None:
    """A finding that is shown as present is present in the file."""
    scores = predict(*FULL, "--concepts", "100")
    site_word = held_out["sl_rales"].to_numpy()
    shown = scores.filter(regex="^concept_").eq("rales").any(axis=1).to_numpy()
    denied = scores.filter(regex="^concept_").eq("Not rales").any(axis=1).to_numpy()
    assert not (shown & denied).any()
    assert len(set(site_word[shown])) == 1
    assert len(set(site_word[denied])) == 1
    assert set(site_word[shown]).isdisjoint(site_word[denied])


def test_all_seeds_are_averaged(predict: Predict) -> None:
    one, two = (predict("--embedding", "minilm", "--strategy", "full", "--seed", seed) for seed in ("7", "8"))
    both = predict("--embedding", "minilm", "--strategy", "full", "--seed", "all")
    np.testing.assert_allclose(both["probability"], (one["probability"] + two["probability"]) / 2, atol=2e-9)
    mean = (logit(one["probability"]) + logit(two["probability"])) / 2
    np.testing.assert_allclose(total(both), mean, rtol=0, atol=1e-4)


def test_rows_without_an_id_are_numbered_and_parquet_is_read(
    predict: Predict, hospitals: Path, held_out: pd.DataFrame, tmp_path: Path
) -> None:
    for name in ("salt-lake.csv", "salt-lake.toml"):
        text = (hospitals / name).read_text()
        (tmp_path / name).write_text(text.replace('id = "encounter_id"\n', "") if name.endswith("toml") else text)
    held_out.drop(columns=["influenza", "encounter_id"]).to_parquet(tmp_path / "new.parquet")
    scores = predict(*FULL, site=tmp_path / "salt-lake.toml", encounters=tmp_path / "new.parquet")
    assert scores["row"].tolist() == list(range(1, len(held_out) + 1))
    np.testing.assert_array_equal(scores["probability"], predict(*FULL)["probability"])


def test_where_leaves_rows_out_and_says_so(
    predict: Predict, hospitals: Path, held_out: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(hospitals / "salt-lake.csv", tmp_path)
    text = (hospitals / "salt-lake.toml").read_text()
    where = '[cohort.where]\nseason = ["season-4"]\nward = ["a", "b"]\n\n[cohort.label]'
    (tmp_path / "site.toml").write_text(text.replace("[cohort.label]", where))
    new = held_out.assign(ward=["c"] * 3 + ["a"] * (len(held_out) - 3)).drop(columns=["influenza", "season"])
    new.to_csv(tmp_path / "warded.csv", index=False)
    scores = predict(*FULL, site=tmp_path / "site.toml", encounters=tmp_path / "warded.csv")
    assert scores["encounter_id"].tolist() == held_out["encounter_id"].tolist()[3:]
    said = capsys.readouterr().err
    assert f"cohort.where left out 3 of {len(held_out)} rows" in said
    assert 'was not applied for "season"' in said


def test_nothing_is_asked_of_the_network(predict: Predict, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert len(predict(*FULL))


def test_only_its_user_may_read_the_scores(predict: Predict, tmp_path: Path) -> None:
    predict(*FULL)
    assert (tmp_path / "scores.csv").stat().st_mode & 0o777 == 0o600


def test_several_models_are_listed(fails: Fails) -> None:
    said = fails()
    assert "say which by --embedding, --strategy, --seed" in said
    assert "embedding minilm, from allegheny, strategy full at salt-lake, seed 7, 8" in said
    assert "say which by --seed:" in fails(*FULL[:4])
    assert "no model is as asked for" in fails("--strategy", "local")


def test_of_two_classes_there_is_one_score_to_explain(fails: Fails) -> None:
    said = fails(*FULL, "--explain", "influenza")
    assert "--explain: the model predicts two classes, and explains the positive one; leave it out" in said


def test_another_sites_model_is_named_before_it_is_used(fails: Fails, hospitals: Path, predict: Predict) -> None:
    """The target's own model is not offered at the source, unless it is asked for."""
    site = hospitals / "allegheny.toml"
    encounters = hospitals / "allegheny.csv"
    assert "no model is as asked for" in fails(*FULL, site=site, encounters=encounters)
    assert len(predict(*FULL, "--target", "salt-lake", site=site, encounters=encounters)) == 2000


def test_everything_wrong_is_said_at_once(fails: Fails, held_out: pd.DataFrame, tmp_path: Path) -> None:
    new = held_out.drop(columns=["influenza", "season", "sl_belly_pain"]).astype(str)
    new.iloc[0, new.columns.get_loc("temp_f")] = "secret"
    new.iloc[2, new.columns.get_loc("encounter_id")] = new.iloc[1]["encounter_id"]
    new.iloc[4, new.columns.get_loc("sl_rales")] = "private"
    new.to_csv(tmp_path / "spoilt.csv", index=False)
    said = fails(*FULL, encounters=tmp_path / "spoilt.csv")
    assert 'no column "sl_belly_pain" (cohort.findings.columns' in said
    assert 'column "temp_f": something that is not a number in 1 row (data row 1)' in said
    assert 'column "encounter_id": an id that another row has too in 2 rows (data rows 2, 3)' in said
    assert 'column "sl_rales": a value outside the spelling in 1 row (data row 5)' in said
    assert "secret" not in said
    assert "private" not in said


def test_an_older_file_of_scores_survives_an_error(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scores.csv").write_text("precious")
    assert fails("--seed", "99")

    def cut_off(*_: object) -> None:
        raise OSError(28, "No space left on device", "scores.csv")

    monkeypatch.setattr("client.prediction.output.os.fsync", cut_off)
    assert "No space left" in fails(*FULL)
    assert (tmp_path / "scores.csv").read_text() == "precious"


def test_what_is_read_is_not_written_over(fails: Fails, unlabelled: Path) -> None:
    assert "is read by this command" in fails(*FULL, out=unlabelled)


@pytest.fixture
def copied(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / "copied"))


@pytest.fixture
def plain(copied: Path) -> Path:
    """The run as a version before this one left it: of each space it noted digests alone."""
    path = copied / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert any('"kind": "space"' in line for line in lines)
    path.write_text("".join(line for line in lines if '"kind": "space"' not in line))
    return copied


def test_another_normalisation_is_refused(fails: Fails, copied: Path) -> None:
    path = copied / "federation.toml"
    path.write_text(path.read_text().replace('normalisation = "centred"', 'normalisation = "raw"'))
    said = fails(*FULL, model=copied)
    assert "not of the embedding space that the model was trained in" in said


def test_another_absence_is_refused(fails: Fails, copied: Path) -> None:
    path = copied / "federation.toml"
    path.write_text(path.read_text().replace('absence = "sentence"', 'absence = "text"'))
    assert "not of the embedding space" in fails(*FULL, model=copied)


def test_a_run_that_noted_digests_alone(predict: Predict, fails: Fails, plain: Path, tmp_path: Path) -> None:
    """The table must be one that a site of the run was greeted with."""
    for which in (FULL, ONE_HOT):
        pd.testing.assert_frame_equal(predict(*which, model=plain), predict(*which))
    path = plain / "events.jsonl"
    path.write_text(re.sub('"fingerprint": "[0-9a-f]{4}', '"fingerprint": "0000', path.read_text()))
    assert "use the table file that the run used" in fails(*FULL, model=plain)


def test_a_run_without_a_fingerprint_is_refused(fails: Fails, copied: Path) -> None:
    (copied / "events.jsonl").unlink()
    assert "its run noted no fingerprint" in fails(*FULL, model=copied)


def test_changed_weights_are_refused(fails: Fails, copied: Path) -> None:
    path = copied / "weights" / "minilm_7_allegheny_full-salt-lake.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert "not the numbers that the run wrote" in fails(*FULL, model=copied)
    path.write_bytes(b"nothing")
    assert "not a safetensors file" in fails(*FULL, model=path)


def test_weights_alone_are_refused(fails: Fails, small_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "alone.safetensors"
    shutil.copy(small_run / "weights" / "minilm_7_allegheny_full-salt-lake.safetensors", path)
    assert "weights without what they were trained with" in fails(model=path)
    assert "no such file" in fails(model=tmp_path / "none.safetensors")


def test_a_file_of_weights_in_a_run_needs_no_more_words(predict: Predict, small_run: Path) -> None:
    """The head alone is in the file of `linear`; the rest is the source's."""
    path = small_run / "weights" / "minilm_7_allegheny_linear-salt-lake.safetensors"
    by_name = predict("--embedding", "minilm", "--strategy", "linear", "--seed", "7")
    pd.testing.assert_frame_equal(predict(model=path), by_name)


def test_a_run_without_thresholds_calls_nobody(predict: Predict, copied: Path) -> None:
    (copied / "results.csv").unlink()
    assert set(predict(*FULL, model=copied)["called"]) == {""}


@pytest.fixture
def fewer(hospitals: Path, tmp_path: Path) -> Path:
    """The target's site file without one of its findings."""
    shutil.copy(hospitals / "salt-lake.csv", tmp_path)
    lines = (hospitals / "salt-lake.toml").read_text().splitlines(keepends=True)
    path = tmp_path / "site.toml"
    path.write_text("".join(line for line in lines if not line.startswith("sl_belly_pain")))
    return path


def test_one_hot_of_other_columns_is_refused(fails: Fails, fewer: Path, plain: Path) -> None:
    said = fails(*ONE_HOT, site=fewer, model=plain)
    assert "columns, which the run did not list" in said


def test_one_hot_of_as_many_tokens_at_a_site_that_was_not_there_is_refused(
    fails: Fails, hospitals: Path, tmp_path: Path, plain: Path
) -> None:
    shutil.copy(hospitals / "salt-lake.csv", tmp_path)
    text = (hospitals / "salt-lake.toml").read_text()
    (tmp_path / "site.toml").write_text(text.replace('sl_belly_pain = "C0000737"', 'sl_belly_pain = "another"'))
    assert "columns, which the run did not list" in fails(*ONE_HOT, site=tmp_path / "site.toml", model=plain)
    assert "one-hot has no column for 3 of the site's" in fails(*ONE_HOT, site=tmp_path / "site.toml")


def test_one_hot_at_a_site_with_fewer_concepts(predict: Predict, hospitals: Path, fewer: Path) -> None:
    """It is scored by the columns of the run: as if what it lacks were unknown."""
    whole, part = predict(*ONE_HOT), predict(*ONE_HOT, site=fewer)
    held = pd.read_csv(hospitals / "salt-lake.csv", dtype=str, keep_default_na=False).query("season == 'season-4'")
    unknown = ~held["sl_belly_pain"].isin(["P", "A", "0", "1"]).to_numpy()
    assert 0 < unknown.sum() < len(held)
    same = np.isclose(whole["probability"], part["probability"], rtol=0, atol=1e-6)
    assert same[unknown].all()
    assert not same[~unknown].all()


def test_a_noted_fingerprint_is_compared_with_a_tolerance(predict: Predict, fails: Fails, copied: Path) -> None:
    """Vectors that differ by noise are of one space; those of another model are not."""
    embedding = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")
    own = load_table(builtin_table("minilm")).fingerprint("centred", "sentence")
    near = replace(own, sketch=tuple(number * (1 + 1e-6) for number in own.sketch))
    note_space(copied, embedding, near)
    assert len(predict(*FULL, model=copied))
    note_space(copied, embedding, replace(own, revision="another"))
    assert "revision: another and" in fails(*FULL, model=copied)


def note_space(folder: Path, embedding: Embedding, fingerprint: Fingerprint) -> None:
    """Note a run's embedding space, as a line of its events."""
    event = {"kind": "space", "embedding": embedding.model_dump(mode="json"), "fingerprint": fingerprint.to_json()}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
