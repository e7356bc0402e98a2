"""The files of the built-in hospitals: same bytes for the same seed, each hospital's own spelling."""

from pathlib import Path

import pandas as pd
import pytest

from client.hospitals.generate import FEWEST, write_hospitals
from common.errors import ConfigError

FILES = ["allegheny.csv", "allegheny.toml", "salt-lake.csv", "salt-lake.toml"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("first", 7), ("second", 7), ("other", 8)):
        write_hospitals(tmp_path / name, 400, seed)
    first, second, other = (contents(tmp_path / name) for name in ("first", "second", "other"))
    assert sorted(first) == FILES
    assert first == second
    assert all(first[name] != other[name] for name in ("allegheny.csv", "salt-lake.csv"))


def test_the_wording_changes_salt_lakes_site_file_alone(tmp_path: Path) -> None:
    write_hospitals(tmp_path / "shared", 400)
    write_hospitals(tmp_path / "own", 400, wording="own")
    shared, own = contents(tmp_path / "shared"), contents(tmp_path / "own")
    assert {name for name in FILES if shared[name] != own[name]} == {"salt-lake.toml"}


def test_writing_again_replaces_the_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_hospitals(tmp_path, 400, seed=1)
    before = contents(tmp_path)
    write_hospitals(tmp_path, 400, seed=2)
    assert sorted(contents(tmp_path)) == FILES
    assert contents(tmp_path)["allegheny.csv"] != before["allegheny.csv"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hospitals(tmp_path, 400, seed=1)
    before = contents(tmp_path)

    def full_disk(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("client.hospitals.generate.csv.write_csv", full_disk)
    with pytest.raises(OSError):  # noqa: PT011
        write_hospitals(tmp_path, 400, seed=2)
    assert contents(tmp_path) == before


def test_each_hospital_spells_in_its_own_way(tmp_path: Path) -> None:
    allegheny, salt_lake = write_hospitals(tmp_path, 5000)
    table = pd.read_csv(allegheny.file, dtype=str, keep_default_na=False)
    assert len(table) == allegheny.encounters == 5000
    assert list(table.columns[:3]) == ["encounter_id", "season", "agegroup"]
    assert set(table["agegroup"]) == {"ls5", "ge6ls65", "ge64"}
    assert set(table["C2055125"]) == {"P", "A", "M"}
    assert set(table["C0424781"]) == {"P", "A", "I", "M"}
    assert (table["influenza"] == "1").sum() == allegheny.influenza

    table = pd.read_csv(salt_lake.file, dtype=str, keep_default_na=False)
    assert len(table) == salt_lake.encounters == 5000
    assert set(table["sl_fever"]) == {"1", "0", ""}
    assert table["age_years"].str.fullmatch(r"\d{1,2}").all()
    assert table["temp_f"].str.fullmatch(r"|\d{2,3}\.\d").all()
    assert (table["influenza"] == "1").sum() == salt_lake.influenza


def test_identifiers_are_unique_and_carry_on_past_one_piece_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("client.hospitals.generate._ROWS", 150)
    (allegheny, _) = write_hospitals(tmp_path, 400)
    table = pd.read_csv(allegheny.file, dtype=str, keep_default_na=False)
    assert table["encounter_id"].is_unique
    assert table["encounter_id"].iloc[-1] == "AC0000400"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"encounters": FEWEST - 1}, "encounters parameter .* must be 200 or more.* Got 199 instead"),
        ({"seed": -1}, "seed parameter .* must be 0 or more. Got -1 instead"),
        ({"wording": "German"}, "wording parameter .* must be shared or own. Got 'German' instead"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_written(
    tmp_path: Path, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        write_hospitals(tmp_path / "folder", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "folder").exists()
