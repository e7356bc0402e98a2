"""A new site: keys that stay, a request without a secret, a site file that is true."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from client.home.init import initialise, next_steps
from client.home.keys import public_line, read_node_key, read_tls_key
from client.home.layout import Home
from client.home.template import MARK, site_text
from client.policy import Policy
from client.site_file import load_site
from common.errors import CohortError, ConfigError
from server.coordinator.requests import read_request


def test_private_keys_are_their_owner_s_and_in_no_other_file(home: Home) -> None:
    private = [home.node_key, home.tls_key, home.secret]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600] * 3
    secrets = [home.secret.read_bytes()]
    for path in private[:2]:
        secrets += [line for line in path.read_bytes().splitlines() if not line.startswith(b"-----")]
    others = [path for path in home.path.rglob("*") if path.is_file() and path not in private]
    assert len(others) == 3  # the request, the site file, the public key
    for path in others:
        assert not [secret for secret in secrets if secret in path.read_bytes()], path


def test_keys_differ_from_site_to_site(home: Home, tmp_path: Path) -> None:
    other = initialise(tmp_path / "other", "hill")
    for path, twin in ((home.node_key, other.node_key), (home.tls_key, other.tls_key), (home.secret, other.secret)):
        assert path.read_bytes() != twin.read_bytes()


def test_the_coordinator_takes_the_request(home: Home) -> None:
    request = read_request(home.request("hill"), "hill")
    assert request.node_key == public_line(read_node_key(home.node_key.read_bytes()))
    assert home.node_public.read_text() == f"{request.node_key} hill\n"
    assert request.certificate.public_key() == read_tls_key(home.tls_key.read_bytes()).public_key()


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_the_node_key_is_what_ssh_keygen_makes(home: Home) -> None:
    done = subprocess.run(["ssh-keygen", "-y", "-f", str(home.node_key)], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == home.node_public.read_text().split()[:2]


def test_flower_reads_the_node_key(home: Home) -> None:
    assert b"BEGIN PUBLIC KEY" in public_key_to_bytes(read_node_key(home.node_key.read_bytes()).public_key())


def test_nothing_is_overwritten(home: Home) -> None:
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="nothing is ever overwritten"):
        initialise(home.path, "hill")
    assert before == {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["Hill", "-hill", "", "a/b", "../hill", "x" * 65, "pooled", "hill\n"])
def test_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a site's name"):
        initialise(tmp_path / "site", name)
    assert not (tmp_path / "site").exists()


def test_three_lines_say_what_to_do(home: Home) -> None:
    assert [line[0] for line in next_steps(home, "hill")] == ["1", "2", "3"]


def test_the_template_filled_in_is_a_site_file(tmp_path: Path) -> None:
    (tmp_path / "encounters.csv").write_text("encounter_id,influenza,dry_cough,headache\n")
    (tmp_path / "site.toml").write_text(site_text("hill"))
    site = load_site(tmp_path / "site.toml")
    assert [concept.code for concept in site.concepts] == ["C0850149", "C0018681"]
    assert site.policy == Policy(approval=True)


def test_what_the_template_leaves_out_as_a_comment_is_true_too(tmp_path: Path) -> None:
    (tmp_path / "encounters.csv").write_text("encounter_id\n")
    lines = site_text("hill").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("# [cohort.where]"))
    taken = [line.removeprefix("# ") if _is_toml(line) else line for line in lines[start:]]
    (tmp_path / "site.toml").write_text("\n".join(lines[:start] + taken))
    site = load_site(tmp_path / "site.toml")
    assert {"agegroup", "C0424781"} <= {concept.code for concept in site.concepts}
    assert site.policy.max_change == 10.0
    assert site.policy.federations == ("flu-2026",)
    assert site.policy.privacy is not None


def _is_toml(line: str) -> bool:
    """Whether a comment is a line of TOML that was left out; the words of a code must be of a code that is declared."""
    return line.startswith(
        ("# [", "# federations", "# m", "# clinic", "# column", "# values", "# un", "# cuts", "# n", "# epsilon")
    ) and ("texts" not in line and "my_code" not in line)


def test_columns_of_a_table_are_listed_and_no_cell(tmp_path: Path) -> None:
    data = tmp_path / "flu.csv"
    data.write_text('id,flu,"odd ""name""",C0018681\nPATIENT-ONE,SECRET,CELL,1\n')
    text = site_text("hill", data)
    for secret in ("PATIENT-ONE", "SECRET", "CELL"):
        assert secret not in text
    assert '# "odd \\"name\\"" = "CODE"' in text
    assert '# "C0018681" = "C0018681"' in text  # a built-in code is its own
    for old, new in (('# "C0018681"', '"C0018681"'), ('"encounter_id"', '"id"'), ('"influenza"', '"flu"')):
        text = text.replace(old, new)
    (tmp_path / "site.toml").write_text(text)
    assert [source.column for source in load_site(tmp_path / "site.toml").sources] == ["C0018681"]
    assert MARK in text


@pytest.mark.parametrize("first", ["17,P,2004-01-01,A", "id,,flu", "id,flu,flu"])
def test_a_first_line_that_may_be_a_patient_is_not_copied(first: str, tmp_path: Path) -> None:
    (tmp_path / "flu.csv").write_text(f"{first}\n")
    with pytest.raises(CohortError, match="may be a patient") as caught:
        initialise(tmp_path / "site", "hill", tmp_path / "flu.csv")
    assert "2004" not in str(caught.value)
    assert not (tmp_path / "site").exists()
