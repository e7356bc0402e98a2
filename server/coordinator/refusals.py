"""Names every refusal of the proxy by its kind, so that a site, an administrator or an attacker can be told apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from server.coordinator.folder import Folder
from server.coordinator.proxy import REFUSALS

KINDS = {
    "plain-text": "spoke without TLS",
    "distrusts-us": "does not trust this coordinator's certificate: a wrong ca.pem there, or a proxy that opens TLS",
    "failed-tls": "no common way to speak TLS, or broken TLS",
    "broke-off": "connected and went away before TLS was agreed: a port scan, a firewall, a `site check`",
    "no-client-certificate": "showed no certificate where mutual TLS is on",
    "unknown-certificate": "showed a certificate of another authority, or one that has ended",
    "forbidden-path": "asked for something that no site needs",
    "unauthenticated": "its key is not registered or was removed, or its clock is more than 5 s ahead or 5 min behind",
    "turned-away": "its key is not registered or was removed; or it came back before its last connection was given up",
    "too-large": "sent more than max_message_mb",
    "too-many": "held too many connections at once",
    "malformed": "sent what is not Flower's protocol",
    "superlink-away": "let in, but the SuperLink did not answer; sites try again by themselves",
}

_BY_STATUS = {"401": "unauthenticated", "404": "forbidden-path", "405": "forbidden-path", "413": "too-large"}
_BY_SUPERLINK = {"401": "unauthenticated", "412": "turned-away"}
_NOT_TLS = ("wrong version number", "http request", "unknown protocol", "packet length too long", "bad record type")
_ERROR = re.compile(r"(\S+ \S+) \[\w+\] [^ ]+ (?:\*\d+ )?(.*?), client: ([0-9a-fA-F.:]+)")
_TLS = re.compile(r"SSL_\w+\(\) failed \(SSL: ([^)]*)")
_BROKE_OFF = re.compile(
    r"peer closed connection in SSL handshake|client (closed connection|timed out.*) while SSL hand"
)


@dataclass(frozen=True)
class Refusal:
    """One refusal.

    Attributes
    ----------
    time : datetime
    kind : str
        One of `KINDS`.
    address : str
        Who was refused.
    detail : str
        The path, or OpenSSL's words; may come from an attacker, so show it by `repr`.
    """

    time: datetime
    kind: str
    address: str
    detail: str


def read_refusals(folder: Folder) -> list[Refusal]:
    """Give every refusal that the proxy's two logs, and the ones before them, still hold, by time."""
    answered = folder.proxy / REFUSALS
    logged = folder.state / "proxy.log"
    found = [refusal for line in _lines(answered) if (refusal := of_answer(line))]
    found += [refusal for line in _lines(logged) if (refusal := of_error(line))]
    return sorted(found, key=lambda refusal: refusal.time)


def of_answer(line: str) -> Refusal | None:
    """Read a line of nginx's record of answers; None where it is no refusal."""
    try:
        said = json.loads(line)
        time, status = datetime.fromisoformat(said["time"]), said["status"]
        kind = _kind(status, said)
        detail = f"{said['method']} {said['path']}"[:200].strip()
    except (ValueError, KeyError, TypeError):  # cut off as the log was put aside
        return None
    return Refusal(time, kind, str(said["address"]), detail) if kind else None


def of_error(line: str) -> Refusal | None:
    """Read a line of nginx's log of errors; None where it tells of no failed TLS, which is in no other log."""
    match = _ERROR.match(line)
    if match is None:
        return None
    when, text, address = match.groups()
    try:
        time = datetime.strptime(when, "%Y/%m/%d %H:%M:%S").astimezone()
    except ValueError:
        return None
    # From the beginning alone: further on nginx quotes what others sent.
    if found := _TLS.match(text):
        return Refusal(time, _tls_kind(found[1]), address, found[1][:200])
    return Refusal(time, "broke-off", address, "") if _BROKE_OFF.match(text) else None


def count(refusals: Iterable[Refusal]) -> dict[str, int]:
    """Count refusals by kind, in the order of `KINDS`."""
    kinds = [refusal.kind for refusal in refusals]
    return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def _kind(status: str, said: dict[str, str]) -> str | None:
    if status == "499":  # the site went away while it was being answered
        return None
    if said["upstream"]:
        return _BY_SUPERLINK.get(status, "superlink-away" if status[0] == "5" else "malformed")
    if status == "503":
        return "too-many"
    if status != "400":
        return _BY_STATUS.get(status, "malformed")
    if not said["tls"]:
        return "plain-text"
    if said["verified"] not in ("NONE", "SUCCESS", ""):
        return "unknown-certificate"
    return "no-client-certificate" if said["demanded"] == "yes" and said["verified"] == "NONE" else "malformed"


def _tls_kind(words: str) -> str:
    if any(known in words for known in _NOT_TLS):
        return "plain-text"
    return "distrusts-us" if "alert unknown ca" in words or "alert bad certificate" in words else "failed-tls"


def _lines(log: Path) -> Iterator[str]:
    for path in (log.with_name(f"{log.name}.1"), log):
        if path.is_file():
            # Only a newline ends a line: what others sent may hold every other separator that Python knows.
            for line in path.read_bytes().split(b"\n"):
                yield line.decode("utf-8", "replace")
