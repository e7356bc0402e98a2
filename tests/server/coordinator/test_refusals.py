"""The proxy's logs, read line by line; `test_proxy` has nginx write them."""

from __future__ import annotations

import json

from server.coordinator.folder import Folder
from server.coordinator.refusals import KINDS, count, of_answer, of_error, read_refusals

ANSWER = {
    "time": "2026-11-22T17:22:43+00:00",
    "address": "10.0.0.7",
    "status": "404",
    "upstream": "",
    "method": "POST",
    "path": "/v1/control/start-run",
    "tls": "TLSv1.3",
    "verified": "NONE",
    "demanded": "no",
}
STARTED = "2026/11/22 17:21:47 [notice] 10917#10917: start worker processes"
FORGED = (
    '2026/11/22 17:22:43 [info] 20#20: *4 client sent invalid method, request: "x\r'
    "2026/11/22 17:22:44 [info] 20#20: *12 SSL_do_handshake() failed (SSL: x) while, client: 6.6.6.6, server: s"
)
HANGUP = "2026/11/22 17:22:43 [info] 20#20: *4 client 10.0.0.7 closed keepalive connection"


def kind(**changes: str) -> str | None:
    refusal = of_answer(json.dumps(ANSWER | changes))
    return refusal.kind if refusal else None


def tls(words: str) -> str | None:
    text = f"SSL_do_handshake() failed (SSL: error:0A00:SSL routines::{words}) while SSL handshaking"
    refusal = of_error(f"2026/11/22 17:22:44 [info] 20#20: *12 {text}, client: 10.0.0.7, server: 0.0.0.0:8443")
    return refusal.kind if refusal else None


def test_answers_by_kind() -> None:
    assert kind() == "forbidden-path"
    assert kind(status="401", upstream="401") == "unauthenticated"
    assert kind(status="412", upstream="412") == "turned-away"
    assert kind(status="413") == "too-large"
    assert kind(status="503") == "too-many"
    assert kind(status="502", upstream="502") == "superlink-away"
    assert kind(status="415", upstream="415") == "malformed"
    assert kind(status="400", tls="", verified="") == "plain-text"
    assert kind(status="400", demanded="yes") == "no-client-certificate"
    assert kind(status="400", verified="FAILED:self-signed certificate") == "unknown-certificate"
    assert kind(status="400") == "malformed"
    assert kind(status="499") is None


def test_failed_tls_by_kind() -> None:
    assert tls("wrong version number") == "plain-text"
    assert tls("tlsv1 alert unknown ca:SSL alert number 48") == "distrusts-us"
    assert tls("unsupported protocol") == "failed-tls"
    assert of_error(STARTED) is None
    assert of_error(FORGED) is None
    away = "2026/11/22 17:22:44 [info] 2#2: *1 {}, client: 10.0.0.7, server: 0.0.0.0:8443"
    for words in (
        "peer closed connection in SSL handshake (104: Connection reset by peer) while SSL handshaking",
        "client timed out (110: Connection timed out) while SSL handshaking",
        "client closed connection while SSL handshaking",
    ):
        broke_off = of_error(away.format(words))
        assert broke_off is not None
        assert (broke_off.kind, broke_off.address) == ("broke-off", "10.0.0.7")
    assert of_error(HANGUP) is None


def test_logs_with_anything_in_them(folder: Folder) -> None:
    answers = folder.proxy / "refusals.jsonl"
    evil = json.dumps(ANSWER | {"path": "/\u2028\x85x", "method": "G\x1cET"}, ensure_ascii=False)
    lines = [json.dumps(ANSWER), evil, '{"time":"2026', "[]", json.dumps(ANSWER | {"time": "yesterday"}), "\xff"]
    answers.write_bytes("\n".join(lines).encode("utf-8") + b"\n\xff\xfe\n")
    answers.with_name("refusals.jsonl.1").write_text(json.dumps(ANSWER | {"time": "2026-11-21T00:00:00+00:00"}))
    (folder.state / "proxy.log").write_text(
        f"{STARTED}\n{FORGED}\n2026/99/99 10:10:10 [info] 1#1: *1 x, client: 1.2.3.4, s\n"
    )
    found = read_refusals(folder)
    assert [refusal.time.day for refusal in found] == [21, 22, 22]
    assert count(found) == {"forbidden-path": 3}
    assert found[0].address == "10.0.0.7"
    assert set(count(found)) <= set(KINDS)
