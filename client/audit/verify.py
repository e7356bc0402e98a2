"""Finds any line of the audit log that was changed, removed, inserted or cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from client.audit.chain import FIRST, HEAD, KEY, LOG, Head, Line, read_head, read_key, read_lines, sealed


@dataclass
class Findings:
    """What an examination of a log found.

    Attributes
    ----------
    problems : list of str
        Each names a line and what is wrong with it.
    noted : list of str
        What the agent found, and wrote into the log, when it opened it earlier.
    torn : list of Line
        At the end: what a crash or a full disk left of lines, or what somebody put there.
    last : Head
        How many whole lines there are, and the last one's SHA-256.
    """

    problems: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    torn: list[Line] = field(default_factory=list)
    last: Head = field(default_factory=lambda: Head(0, FIRST))


def verify(folder: Path) -> list[str]:
    """Check the audit log in an agent's folder, from the first line to the last.

    Returns
    -------
    list of str
        What is wrong, and where; empty where the log is as the agent wrote it. See `client.audit.chain` for what this
        cannot find.
    """
    findings = examine(folder)
    torn = [
        f"{LOG}, line {line.number}: {len(line.raw):,} bytes that are no whole line: torn by a crash or a full disk, "
        "or put there; the agent notes it when it is started"
        for line in findings.torn
    ]
    return findings.problems + [text for text in findings.noted if text not in findings.problems] + torn


def examine(folder: Path) -> Findings:
    """Check every line, and the head."""
    key, findings = read_key(folder), Findings()
    heads = [findings.last]  # as it must have been after each whole line
    for line in read_lines(folder / LOG):
        if line.record is None or not line.ended:
            findings.torn.append(line)
            continue
        _check_line(line, findings, key)
        findings.last = Head(findings.last.count + 1, line.sha256)
        heads.append(findings.last)
    if key is None and (folder / LOG).exists():
        findings.problems.append(f"{KEY}: missing or not readable here; without it no seal can be checked")
    if key is not None:
        findings.problems += _check_head(folder, key, heads)
    return findings


def _check_line(line: Line, findings: Findings, key: bytes | None) -> None:
    """Check a whole line against what came before it."""
    record = line.record or {}
    explained = record.get("torn", []) if record.get("direction") == "note" else []
    if [torn.sha256 for torn in findings.torn] != explained:
        strange = [str(torn.number) for torn in findings.torn] or ["of which it tells"]
        findings.problems.append(
            f"{LOG}, line {line.number}: the torn lines before it are not those that it tells of "
            f"(line {', '.join(strange)}): changed, inserted or removed"
        )
    findings.torn = []
    if record.get("previous") != findings.last.sha256:
        findings.problems.append(
            f"{LOG}, line {line.number}: does not follow on what is before it, where a line was changed, removed, "
            "inserted or moved"
        )
    if key is not None and not sealed(line, key):
        findings.problems.append(f"{LOG}, line {line.number}: changed, or not written by this agent")
    elif record.get("direction") == "note":
        findings.noted += [str(problem) for problem in record.get("problems", [])]


def _check_head(folder: Path, key: bytes, heads: list[Head]) -> list[str]:
    """Check that the log goes on to where the head says; lines beyond it carry seals of their own."""
    there = len(heads) - 1
    head = read_head(folder, key)
    if head is None:
        return [f"{HEAD}: missing, changed, or not written by this agent; lines may have been cut from the end"]
    if head.count > there:
        return [f"{LOG}: {head.count:,} lines were written, {there:,} are there: cut, after or before line {there:,}"]
    if heads[head.count] != head:
        return [f"{LOG}, line {head.count:,}: not the line that was written as number {head.count:,}"]
    return []
