"""The whole check: every section speaks, whatever becomes of the others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.check import keys
from client.check.findings import Finding, run
from client.check.report import check
from client.home.join import Welcome, read_welcome
from client.home.layout import Home
from client.site_file import load_site
from common.cli import main
from common.errors import ConfigError
from server.coordinator.authority import Authority

SECTIONS = {"cohort", "tables", "policy", "keys", "approvals", "connection"}


@pytest.fixture
def filled(home: Home, hospitals: Path) -> Home:
    """A site with the cohort of a built-in hospital."""
    shutil.copy(hospitals / "allegheny.csv", home.path / "allegheny.csv")
    text = (hospitals / "allegheny.toml").read_text().replace('name = "allegheny"', 'name = "hill"')
    home.site_file.write_text(text)
    return home


def of(found: list[Finding], section: str) -> list[Finding]:
    return [finding for finding in found if finding.section == section]


def texts(found: list[Finding], section: str, level: str) -> str:
    return "\n".join(finding.text for finding in of(found, section) if finding.level == level)


def test_a_site_that_is_filled_in(filled: Home) -> None:
    found = list(check(filled))
    assert {finding.section for finding in found} == SECTIONS
    assert not [finding for finding in found if finding.level == "fail"]
    assert "2,000 encounters from allegheny.csv, 71 concepts" in texts(found, "cohort", "ok")
    splits = [finding.details for finding in of(found, "cohort") if "split" in finding.details]
    assert sum(split["encounters"] for split in splits) == 2000
    unknown = next(finding.details["unknown"] for finding in of(found, "cohort") if "unknown" in finding.details)
    assert len(unknown) == 71
    assert unknown["agegroup"] == 0.0
    assert "384 numbers a token" in texts(found, "tables", "ok")
    assert "(100%)" in texts(found, "tables", "ok")
    assert "fewer than 11 patients" in texts(found, "policy", "ok")
    assert "any federation may ask" in texts(found, "policy", "warn")


def test_a_site_file_that_waits_to_be_filled_in(home: Home) -> None:
    found = list(check(home))
    assert {finding.section for finding in found} == SECTIONS
    assert "no such file" in texts(found, "cohort", "fail")
    assert "not looked at" in texts(found, "tables", "fail")
    assert of(found, "keys")[0].level == "ok"  # goes on all the same


def test_what_is_wrong_with_the_data_is_said_by_row_and_without_a_cell(filled: Home) -> None:
    path = filled.path / "allegheny.csv"
    lines = path.read_text().splitlines()
    columns = lines[0].split(",")
    for row, column in ((3, "C0018681"), (5, "influenza")):
        cells = lines[row].split(",")
        cells[columns.index(column)] = "PATIENT-SECRET"
        lines[row] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    found = list(check(filled))
    said = [finding.text for finding in of(found, "cohort")]
    assert len(said) == 2  # one line for each problem
    assert "data row 5" in said[0]
    assert "data row 3" in said[1]
    assert "PATIENT-SECRET" not in str(found)


def test_few_patients_and_columns_that_say_nothing(filled: Home) -> None:
    text = filled.site_file.read_text()
    filled.site_file.write_text(text.replace("min_cell = 11", "min_cell = 10000"))
    path = filled.path / "allegheny.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    place = rows[0].index("C0018681")
    for row in rows[1:]:
        row[place] = "M"
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    found = list(check(filled))
    assert texts(found, "cohort", "warn").count("below min-cell 10000") == 3
    assert "unknown at every encounter: C0018681" in texts(found, "cohort", "warn")


def test_words_without_a_row_in_the_table(filled: Home) -> None:
    text = filled.site_file.read_text()
    ages = "[cohort.categories.agegroup]"
    own = text.replace(ages, f'[cohort.texts]\nC0018681 = "pounding skull"\n\n{ages}', 1)
    filled.site_file.write_text(own.replace("[tables]", '[tables]\ngone = "gone.safetensors"'))
    found = list(check(filled))
    assert "no row for 2 tokens that encounters have, such as C0018681_P" in texts(found, "tables", "fail")
    assert "gone.safetensors: no such file" in texts(found, "tables", "fail")


def test_keys_that_are_lost_or_open_to_all(joined: Callable[..., Welcome], home: Home) -> None:
    welcome = joined("coordinator.example:8443")
    home.tls_key.chmod(0o644)
    home.secret.unlink()
    home.node_public.write_text("ecdsa-sha2-nistp384 AAAA hill\n")
    found = list(run([("keys", lambda: keys.look(home, welcome))]))
    said = texts(found, "keys", "fail")
    assert "relay/superexec.secret is missing" in said
    assert "relay/tls.key may be read by others (mode 644); run: chmod 600" in said
    assert "relay/node.key is not the key of relay/node.pub" in said


def test_a_certificate_for_another_key(joined: Callable[..., Welcome], home: Home, authority: Authority) -> None:
    welcome = joined("coordinator.example:8443")
    home.tls_key.write_bytes(authority.server(["other"]).key)
    found = list(run([("keys", lambda: keys.look(home, welcome))]))
    assert "relay/client.pem is for another key" in texts(found, "keys", "fail")


@pytest.mark.parametrize(("days", "level"), [(61, "ok"), (59, "warn"), (-1, "fail")])
def test_expiry(days: int, level: str, authority: Authority) -> None:
    from cryptography import x509

    pair = authority.server(["a"], timedelta(days=days, minutes=5))
    said = keys._until("it", x509.load_pem_x509_certificate(pair.certificate))
    assert said[0] == level
    assert f"{datetime.now(UTC) + timedelta(days=days, minutes=5):%Y-%m-%d}" in said[1]


def test_what_the_policy_says_of_secure_sums(filled: Home) -> None:
    text = filled.site_file.read_text()
    assert "secure sum" not in texts(list(check(filled)), "policy", "ok")
    filled.site_file.write_text(text.replace("[policy]", '[policy]\nsecure = "require"'))
    found = list(check(filled))
    assert "its updates leave masked, for a secure sum alone" in texts(found, "policy", "ok")
    assert "also one that a coordinator makes up; [policy.peers] names them" in texts(found, "policy", "warn")
    pinned = (
        text.replace("[policy]", '[policy]\nsecure = "require"').rstrip() + f'\n[policy.peers]\nlake = "{"ab" * 32}"\n'
    )
    filled.site_file.write_text(pinned)
    found = list(check(filled))
    assert "a secure sum may be with: lake" in texts(found, "policy", "ok")
    assert "makes up" not in texts(found, "policy", "warn")


def test_approvals(filled: Home, write: Callable[..., Path], content: dict[str, object]) -> None:
    from client.approvals import approve

    given = filled.site_file.read_text()
    filled.site_file.write_text(given + "approval = true\n")
    content["sites"] = {"hill": {}, "salt-lake": {}}
    content["directions"] = [{"sources": ["hill"], "targets": ["salt-lake"]}]
    path, _ = approve(filled.path, write(), "A. Steward")
    (path.parent / "abc.toml").write_text("by = 3")
    filled.site_file.write_text(given + 'approval = true\nfederations = ["other"]\n')
    found = list(check(filled))
    assert "small, by A. Steward" in texts(found, "approvals", "warn")
    assert "policy.federations does not name it" in texts(found, "approvals", "warn")
    assert "cannot be read" in texts(found, "approvals", "fail")


def test_nothing_that_goes_wrong_ends_the_check() -> None:
    def broken() -> None:
        raise RuntimeError("row 3: PATIENT-SECRET")

    found = list(run([("a", broken), ("b", lambda: [("ok", "fine")])]))  # type: ignore[list-item, arg-type]
    assert [(finding.section, finding.level) for finding in found] == [("a", "fail"), ("b", "ok")]
    assert "PATIENT-SECRET" not in found[0].text


def test_a_welcome_that_is_damaged(home: Home) -> None:
    home.welcome.write_text('{"name": 1}')
    with pytest.raises(ConfigError, match="join again"):
        read_welcome(home)
    assert "damaged; join again" in texts(list(check(home)), "connection", "fail")


def test_the_command(filled: Home, capsys: pytest.CaptureFixture[str]) -> None:
    main_ends(["site", "check", "--folder", str(filled.path)], 0)
    assert capsys.readouterr().out.splitlines()[-1].startswith("0 failed, ")
    filled.node_key.chmod(0o644)
    main_ends(["site", "check", "--json", "--folder", str(filled.path)], 1)
    assert json.loads(capsys.readouterr().out)["ok"] is False


def main_ends(arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert (ended.value.code or 0) == code


@pytest.mark.parametrize(
    ("gone", "looked_at"),
    [("relay", {"cohort", "tables", "policy", "approvals"}), ("agent", {"keys", "connection"})],
)
def test_in_a_container_with_one_half_the_other_is_left_out(filled: Home, gone: str, looked_at: set[str]) -> None:
    shutil.rmtree(filled.path / gone)
    elsewhere = [finding for finding in check(filled) if f"the {gone} is not here" in finding.text]
    assert {finding.level for finding in elsewhere} == {"warn"}
    assert {finding.section for finding in check(filled)} - {finding.section for finding in elsewhere} == looked_at


def test_concepts_far_from_what_the_model_is_trained_on_are_warned_of(filled: Home, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    known.write_text("token,text\nC0234866_P,barking cough\nC0234866_A,Not barking cough\n")
    found = next(f for f in of(list(check(filled, known)), "tables") if "far" in f.details)
    assert found.level == "warn"
    assert "C0234866_P" not in found.details["far"]
    assert 0 < len(found.details["far"]) < found.details["of"]
    assert "are far from all that the model is trained on" in found.text
    near = tmp_path / "near.csv"
    near.write_text("token,text\n" + "".join(f'{t.name},"{t.text}"\n' for t in load_site(filled.site_file).vocabulary))
    assert "concepts has a near one" in texts(list(check(filled, near)), "tables", "ok")


def test_a_vocabulary_without_vectors_in_the_sites_table_is_said_not_compared(filled: Home, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    known.write_text("token,text\nz_P,a word of another table\n")
    assert "no row for 1 of 1 concepts the model is trained on" in texts(list(check(filled, known)), "tables", "warn")
    assert "no such file" in texts(list(check(filled, tmp_path / "gone.csv")), "tables", "fail")
