"""The data steward's commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from client.audit import LOG
from client.audit.commands import AuditError, approve, audit
from client.audit.log import AuditLog
from client.site_file import load_site
from common.config import digest, load_federation
from common.errors import ConfigError

Site = Any
app = typer.Typer()
app.command()(approve)
app.add_typer(audit, name="audit")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_approve_shows_and_records(site: Site, write: Callable[..., Path]) -> None:
    path = str(write())
    assert "scores" in run("approve", path, "--folder", str(site.folder), "--show")
    assert not (site.agent / "approvals").exists()
    with pytest.raises(ConfigError, match="--by"):
        run("approve", path, "--folder", str(site.folder))
    said = run("approve", path, "--folder", str(site.folder), "--by", "A. Steward")
    (file,) = (site.agent / "approvals").iterdir()
    assert str(file) in said
    assert "A. Steward" in file.read_text()


def test_the_log_is_shown_and_verified(site: Site) -> None:
    site.agent.mkdir()
    log = AuditLog(site.agent)
    record = {"direction": "out", "run": "r-1", "what": "full", "bytes": 4100, "decision": "ok", "figures": ["test.n"]}
    log.append(record | {"arrays": [{"name": "linear", "numbers": 1002}]})
    log.append({"direction": "note", "note": "the agent was started"})
    log.close()
    folder = ("--folder", str(site.folder))
    assert "1 messages, 1,002 weights, 1 figures, 4,100 bytes" in run("audit", "show", *folder)
    shown = json.loads(run("audit", "show", *folder, "--json"))
    assert (shown["problems"], shown["totals"][0]["numbers"]) == ([], 1002)
    assert "2 lines, all as the agent wrote them" in run("audit", "verify", *folder)
    path = site.agent / LOG
    path.write_text(path.read_text().replace("4100", "4101"))
    with pytest.raises(Exception, match="line 1: changed") as raised:
        run("audit", "verify", *folder)
    assert raised.value.exit_code == 1  # type: ignore[attr-defined]
    assert "does not verify" in run("audit", "show", *folder)


def test_the_sheet_says_what_leaves_in_numbers(site: Site, tmp_path: Path) -> None:
    site.policy('strategies = ["direct", "linear", "full"]\nmin_cell = 12\nmetrics = ["auroc"]\nmax_change = 2.5')
    text = run("audit", "sheet", "--folder", str(site.folder))
    tokens = len(load_site(site.site_file).vocabulary)
    for said in (
        "minilm: 77,102 (308,408)",
        "minilm: 202 (808)",
        f"one-hot: {100 * tokens + 302:,}",
        "Refused by this site's policy: source, local, prior, intercept, recalibrate, half-linear, layer-wise, l2-sp, ",
        "half-way, auto, fedper, ensemble, logistic.",
        "further than 2.5",
        "fewer than 12 patients",
        "allegheny.csv",
        "need no approval",
    ):
        assert said in text
    assert "brier" not in text
    run("audit", "sheet", "--folder", str(site.folder), "--out", str(tmp_path / "sheet.md"))
    assert (tmp_path / "sheet.md").read_text() == text


@pytest.mark.parametrize("words", [("audit", "show"), ("audit", "verify"), ("audit", "sheet"), ("approve", "f.toml")])
def test_the_relays_container_has_no_log_to_reassure_with(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "relay").mkdir()
    with pytest.raises(AuditError, match="not here, where only the relay is; ask in the agent's own container"):
        run(*words, "--folder", str(tmp_path))


def test_what_the_policy_does_not_name_is_not_approved(site: Site, write: Callable[..., Path]) -> None:
    site.policy('approval = true\nfederations = ["another"]')
    with pytest.raises(ConfigError, match=r"policy\.federations does not name 'small', so nothing of it would be done"):
        run("approve", str(write()), "--folder", str(site.folder), "--by", "A. Steward")
    assert not (site.agent / "approvals").exists()


def test_the_digest_to_compare_is_shown(site: Site, write: Callable[..., Path]) -> None:
    said = run("approve", str(write()), "--folder", str(site.folder), "--show")
    assert f"digest {digest(load_federation(write()))}" in said
