"""The whole way to the coordinator: name, port, TLS, clock, authentication, a message there and back."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from client.check import fleet
from client.check.findings import Said
from client.check.hops import BrokenError, Reply, Way, first_hops, way_to
from client.check.tls import who
from client.home.dial import context
from client.home.flower_log import last_node
from client.home.join import Welcome
from client.home.keys import PrivateKey, read_node_key
from client.home.layout import Home
from client.home.up import is_ready

AHEAD, BEHIND = 5.0, 300.0  # seconds that Flower bears
_EXACT = 2.0  # the header counts seconds
_REGISTER = "send the site's request file, and ask the coordinator to run `sitebridge coordinator register`"


def look(home: Home, welcome: Welcome | None) -> Iterator[Said]:
    """Go the way to the coordinator, hop by hop, and say where it ends."""
    if welcome is None:
        yield "warn", "not looked at: this site has not joined, so it knows no coordinator"
        return
    try:
        trusted = context(home.ca, home.certificate, home.tls_key)
        way = way_to(welcome.address, trusted, home.ca)
        yield from first_hops(way)
        yield _tls(way)
        yield from _coordinator(home, welcome, way)
    except ssl.SSLError:
        yield "fail", "relay/ca.pem, client.pem and tls.key cannot be used together; join again"
    except BrokenError as error:
        yield "fail", str(error)


def clock(date: str, now: datetime) -> Said:
    """Compare this machine's clock with the header of an answer."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(UTC)
    except (ValueError, TypeError):
        return "warn", "clock: the answer says no time, so the clocks could not be compared"
    ahead = (now - theirs).total_seconds()
    details = {"seconds_ahead": round(ahead, 1)}
    way = "ahead of" if ahead > 0 else "behind"
    text = f"clock: this machine's is {abs(ahead):,.0f} s {way} the coordinator's"
    if ahead >= AHEAD or ahead <= -BEHIND:
        limits = f"more than {AHEAD:.0f} s ahead or {BEHIND:.0f} s behind is refused"
        return "fail", f"{text}; {limits}: let a time server (NTP) set both", details
    if abs(ahead) > _EXACT:
        return "warn", f"{text}; Flower refuses a clock {AHEAD:.0f} s ahead: let a time server (NTP) set it", details
    return "ok", f"clock: within {_EXACT:.0f} s of the coordinator's", details


def _tls(way: Way) -> Said:
    from cryptography import x509

    with way.secure() as secured:
        shown = secured.getpeercert(binary_form=True)
        version = secured.version()
    assert shown is not None  # it was verified
    return "ok", f"TLS: {version}; {who(x509.load_der_x509_certificate(shown))}, the coordinator's own authority"


def _coordinator(home: Home, welcome: Welcome, way: Way) -> Iterator[Said]:
    key = read_node_key(home.node_key.read_bytes())
    reply = _send(way, fleet.activation(key))
    compared = clock(reply.date, datetime.now(UTC))
    yield compared
    if reply.status == 200:
        yield from _there_and_back(way, key, fleet.node_of(reply.body))
    elif reply.status == 412 and fleet.error_code(reply.body) == fleet.NOT_ACTIVATED:
        yield from _known_already(home, way, key)
    else:
        yield "fail", _refused(reply, welcome, compared[0] == "fail")


def _there_and_back(way: Way, key: PrivateKey, node: int) -> Iterator[Said]:
    yield "ok", "authentication: the coordinator knows this site's key"
    try:
        yield _beat(way, key, node)
    finally:
        with suppress(BrokenError):
            _send(way, fleet.deactivation(key, node))  # the relay may come now


def _known_already(home: Home, way: Way, key: PrivateKey) -> Iterator[Said]:
    """Tell a key that is not registered from one that is connected; Flower has one answer for both."""
    node = last_node(home.node_log)
    if node is None:
        yield (
            "fail",
            f"authentication: the coordinator does not know this site's key; {_REGISTER}. (If it did: another machine "
            "is connected with a copy of relay/node.key; there may be only one)",
        )
        return
    if fleet.error_code(_send(way, fleet.question(key, node)).body) != fleet.NO_INTERVAL:
        yield (
            "fail",
            f"authentication: the coordinator no longer knows this site's key; unless it was removed, {_REGISTER}",
        )
    elif is_ready(home, "relay"):
        yield "ok", "authentication: the coordinator knows this site's key, and the relay is connected with it"
        yield _beat(way, key, node)
    else:
        yield (
            "warn",
            "authentication: the key is known, but the coordinator counts this site as connected while its relay is "
            "not: it was cut off (that clears within a minute), or another machine has a copy of relay/node.key",
        )


def _beat(way: Way, key: PrivateKey, node: int) -> Said:
    reply = _send(way, fleet.heartbeat(key, node))
    with suppress(ValueError):
        if reply.status == 200 and fleet.heard(reply.body):
            return "ok", "message: one went there and came back"
    return "fail", f"message: the coordinator did not take it (HTTP {reply.status}); check again in a minute"


def _send(way: Way, call: fleet.Call) -> Reply:
    return way.ask("POST", call.path, call.body, call.headers)


def _refused(reply: Reply, welcome: Welcome, wrong_clock: bool) -> str:
    text = reply.body.decode("utf-8", "replace")
    if reply.status == 400 and "SSL certificate" in text:
        if welcome.mutual_tls:
            return "the coordinator does not accept relay/client.pem; ask for a new welcome file, and join with it"
        return "the coordinator now demands a certificate of each site; ask for a new welcome file, and join with it"
    if reply.status == 401:
        why = "because of the clock, see above" if wrong_clock else "although the clock is right; please report it"
        return f"authentication: the signature of relay/node.key is refused, {why}"
    if fleet.error_code(reply.body) == fleet.OTHER_VERSION:
        return "the coordinator runs another version of Flower than this site; install the same version of Sitebridge"
    if reply.status in (502, 503, 504):
        return f"the coordinator's proxy answers, but not Flower behind it (HTTP {reply.status}); ask whether it is up"
    return f"something answers that is no coordinator of Sitebridge (HTTP {reply.status}); is {welcome.address} right?"
