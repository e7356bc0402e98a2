"""The command that writes the built-in hospitals."""

from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from client.hospitals.commands import demo
from common.errors import ConfigError

app = typer.Typer()
app.command()(demo)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--encounters", "400"])


def test_it_says_what_it_wrote(tmp_path: Path) -> None:
    result = run(str(tmp_path / "pair"))
    assert result.exit_code == 0
    assert f"{tmp_path / 'pair' / 'allegheny.csv'}: 400 encounters, 82 with influenza (20%)" in result.output
    assert f"{tmp_path / 'pair' / 'salt-lake.toml'}: its site file" in result.output
    assert len(list((tmp_path / "pair").iterdir())) == 4


def test_it_refuses_a_folder_that_is_not_empty_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused = run(str(tmp_path))
    assert isinstance(refused.exception, ConfigError)
    assert "the folder is not empty; name another one, or add --force" in str(refused.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert run(str(tmp_path), "--force").exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("option", [(), ("--own-wording",)])
def test_own_wording_reaches_the_site_file(tmp_path: Path, option: tuple[str, ...]) -> None:
    assert run(str(tmp_path), *option).exit_code == 0
    assert ("[cohort.texts]" in (tmp_path / "salt-lake.toml").read_text()) == bool(option)
