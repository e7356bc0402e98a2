"""`sitebridge track`: what TensorBoard's own reader finds is what the run's folder says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomli_w

from common.cli import main
from common.config import load_federation
from server.simulate import run as simulate

pytest.importorskip("tensorboard", reason="needs the extra tracking")


@pytest.fixture(scope="module")
def run(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two sources and a target, two rounds."""
    folder = tmp_path_factory.mktemp("tracked")
    short = {"rounds": 2, "epochs": 1, "batches": 8}
    content: dict[str, Any] = {"name": "tracked", "seeds": [7], "embeddings": ["minilm"], "intervals": 100}
    content |= {"strategies": ["direct", "linear"], "training": short, "tuning": short | {"rounds": 1}}
    content["sites"] = {name: {"file": str(hospitals / f"{name}.toml")} for name in ("allegheny", "salt-lake")}
    content["directions"] = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    (folder / "federation.toml").write_text(tomli_w.dumps(content))
    simulate(load_federation(folder / "federation.toml"), folder / "federation.toml", folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def tracked(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("board") / "out"
    main_quietly(["track", str(run), "--out", str(out)])
    return out


def main_quietly(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    found = read(folder)
    return {tag: {e.step: e.value for e in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


def test_every_figure_of_every_model_is_read_back(run: Path, tracked: Path) -> None:
    results = pd.read_csv(run / "results.csv", keep_default_na=False, na_values=[""])
    numbers = [name for name in results.columns[6:] if pd.api.types.is_numeric_dtype(results[name])]
    expected: dict[str, dict[str, float]] = {}
    for row in results.to_dict(orient="records"):
        model = expected.setdefault(f"minilm_7_allegheny_{row['strategy']}-{row['site']}", {})
        model |= {f"{row['split']}/{name}": row[name] for name in numbers if row[name] == row[name]}
    assert {path.name for path in tracked.iterdir()} == {*expected, "minilm_7_allegheny_source-rounds"}
    assert len(expected) == 3  # source, direct, linear
    for name, figures in expected.items():
        found = {tag: points[0] for tag, points in scalars(tracked / name).items()}
        assert found == pytest.approx(figures, rel=1e-6)
        assert "test/auroc_low" in found


def test_rounds_are_read_back(run: Path, tracked: Path) -> None:
    found = scalars(tracked / "minilm_7_allegheny_source-rounds")
    rounds, exchange = pd.read_csv(run / "rounds.csv"), pd.read_csv(run / "exchange.csv")
    asked = rounds[(rounds["phase"] == "source") & (rounds["round"] > 0)]
    crossed = exchange[(exchange["phase"] == "source") & (exchange["round"] > 0)].set_index(["direction", "round"])
    assert found["round/sites"] == {1: 1.0, 2: 1.0}
    assert found["round/encounters"] == dict(zip(asked["round"], asked["encounters"], strict=True))
    for way in ("out", "back"):
        assert found[f"round/bytes_{way}"] == crossed["bytes"][way].to_dict()


def test_parameters_are_read_back_and_no_path_is_among_them(run: Path, tracked: Path) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = read(tracked / "minilm_7_allegheny_linear-salt-lake").PluginTagToContent("hparams")
    told = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info.hparams
    federation = load_federation(run / "federation.toml")
    assert told["strategy"].string_value == "linear"
    assert told["seed"].number_value == 7
    assert told["training.learning_rate"].number_value == federation.training.learning_rate
    assert told["aggregation.name"].string_value == "FedAvg"
    for path in tracked.rglob("*.tfevents.*"):
        assert str(run.parent).encode() not in path.read_bytes()
        assert b"allegheny.toml" not in path.read_bytes()


def test_scores_by_round_are_written_where_the_run_noted_them(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    rounds = pd.read_csv(copied / "rounds.csv")
    second = (rounds["phase"] == "source") & (rounds["round"] == 2)
    rounds["validation_auroc"], rounds["validation_n"] = float("nan"), float("nan")
    rounds.loc[second, ["validation_auroc", "validation_n"]] = [0.75, 100]  # of the model after round 1
    rounds.to_csv(copied / "rounds.csv", index=False)
    main_quietly(["track", str(copied), "--out", str(tmp_path / "out")])
    found = scalars(tmp_path / "out" / "minilm_7_allegheny_source-rounds")
    assert found["round/validation_auroc"] == {1: 0.75}


def test_a_site_in_two_trainings_has_no_bytes_by_round(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    rounds = pd.read_csv(copied / "rounds.csv")
    again = rounds[(rounds["phase"] == "source") & (rounds["round"] > 0)]
    both = pd.concat([again, again.assign(site="salt-lake")]).sort_values("round")
    pd.concat([rounds, both]).to_csv(copied / "rounds.csv", index=False)
    main_quietly(["track", str(copied), "--out", str(tmp_path / "out")])
    for name in ("allegheny_source-rounds", "allegheny+salt-lake_source-rounds"):
        found = scalars(tmp_path / "out" / f"minilm_7_{name}")
        assert set(found) == {"round/sites", "round/encounters", "round/validation_auroc"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run, out: (run / "journal").mkdir(), "the run is not finished"),
        (lambda run, out: (run / "results.csv").unlink(), "no results.csv here"),
        (lambda run, out: (out.mkdir(), (out / "mine").touch()), "already there and not empty"),
    ],
)
def test_what_cannot_be_tracked_is_said_and_nothing_is_left(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, words: str
) -> None:
    copied, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(run, copied)
    spoil(copied, out)
    with pytest.raises(SystemExit) as ended:
        main(["track", str(copied), "--out", str(out)])
    assert ended.value.code == 1
    assert words in capsys.readouterr().err
    assert not out.exists() or [path.name for path in out.iterdir()] == ["mine"]
    assert not list(tmp_path.glob(".out.*"))


def test_without_the_extra_it_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from common.errors import ConfigError
    from server.report.folder import RunFolder
    from server.tracking.tensorboard import write

    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"sitebridge\[tracking\]"):
        write(RunFolder(run), tmp_path)
