"""The way to the coordinator, hop by hop: name, port, TLS. Each failure says what it means and what to do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from client.check.findings import Said
from client.home.dial import Proxy, ProxyRefusedError, proxy_of, split, tunnel

_PATIENCE = 8.0  # seconds for each step
_LONGEST = 65_536  # bytes of an answer


class BrokenError(Exception):
    """The way ends here; the message says why, and what to do."""


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP."""

    status: int
    date: str
    body: bytes


@dataclass(frozen=True)
class Way:
    """The way to a coordinator.

    Attributes
    ----------
    host, port
        The coordinator's.
    proxy : Proxy or None
        What stands between, by the environment.
    context : SSLContext
        Trusts the coordinator's authority alone, and has the site's certificate.
    ca : Path
    """

    host: str
    port: int
    proxy: Proxy | None
    context: ssl.SSLContext
    ca: Path

    @property
    def dialled(self) -> tuple[str, int]:
        """What this machine itself connects to."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def target(self) -> str:
        """The coordinator, as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def name(self) -> list[str]:
        """Give the addresses of what is dialled.

        Raises
        ------
        BrokenError
            Nobody knows the name.
        """
        host, port = self.dialled
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            whose = f"the proxy {host} ({self.proxy.variable})" if self.proxy else f"the coordinator {host}"
            raise BrokenError(
                f"this machine knows no address of {whose}; ask for an entry in the name server, or add one to "
                "/etc/hosts; in a container, give it a name server that knows the name"
            ) from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def connect(self) -> socket.socket:
        """Open the port, through the proxy where there is one.

        Raises
        ------
        BrokenError
            It does not open.
        """
        host, port = self.dialled
        who = f"the proxy {host}:{port}" if self.proxy else self.target
        try:
            connection = socket.create_connection((host, port), timeout=_PATIENCE)
        except ConnectionRefusedError:
            raise BrokenError(
                f"{who} refuses: the machine is there, but nothing listens at that port, or a firewall rejects; ask "
                f"whether {'the proxy' if self.proxy else 'the coordinator'} is up, then whoever runs the firewall"
            ) from None
        except TimeoutError:
            raise BrokenError(
                f"{who}: no answer in {_PATIENCE:.0f} s; most likely a firewall drops it: ask for the rule above"
            ) from None
        except OSError as error:
            raise BrokenError(f"{who}: {error.strerror or error}; this machine's network has no way there") from None
        if self.proxy is not None:
            self._tunnel(connection, self.proxy)
        return connection

    def secure(self) -> ssl.SSLSocket:
        """Speak TLS over an open port; the coordinator's certificate is checked.

        Raises
        ------
        BrokenError
            It does not come to that.
        """
        plain = self.connect()
        try:
            return self.context.wrap_socket(plain, server_hostname=self.host)
        except OSError as error:  # SSLError is one
            plain.close()
            from client.check.tls import explain

            raise BrokenError(explain(self, error)) from None

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Send one request, over a connection of its own.

        Raises
        ------
        BrokenError
            No answer comes.
        """
        secured = self.secure()
        link = HTTPConnection(self.host, self.port, timeout=_PATIENCE)
        link.sock = secured
        try:
            link.request(method, path, body or None, headers or {})
            reply = link.getresponse()
            return Reply(reply.status, reply.headers.get("Date", ""), reply.read(_LONGEST))
        except ssl.SSLError:  # with TLS 1.3, a certificate is refused after the handshake
            raise BrokenError(
                f"{self.target} ended the connection once it had seen this site's certificate: most likely it does not "
                "accept it; ask the coordinator for a new welcome file, and join with it"
            ) from None
        except (OSError, HTTPException) as error:
            raise BrokenError(
                f"{self.target} closed the connection or did not answer ({type(error).__name__}); if it stays so, a "
                "firewall on the way looks into connections: ask for an exception for this address"
            ) from None
        finally:
            secured.close()

    def _tunnel(self, connection: socket.socket, proxy: Proxy) -> None:
        try:
            tunnel(connection, self.host, self.port, proxy)
        except ProxyRefusedError as error:
            connection.close()
            if " 407" in str(error):
                advice = f"it wants a name and a password: {proxy.variable}=http://NAME:PASSWORD@{proxy}"
            else:
                advice = f"ask whoever runs it to allow CONNECT to {self.target}"
            raise BrokenError(f"the proxy {proxy} ({proxy.variable}) says {str(error)!r}; {advice}") from None
        except OSError:
            connection.close()
            raise BrokenError(f"the proxy {proxy} ({proxy.variable}) does not answer; ask whoever runs it") from None


def way_to(address: str, context: ssl.SSLContext, ca: Path) -> Way:
    """Find the way to a coordinator.

    Raises
    ------
    BrokenError
        The proxy's variable cannot be read.
    """
    host, port = split(address)
    try:
        return Way(host, port, proxy_of(host), context, ca)
    except ValueError as error:
        raise BrokenError(f"{error}") from None


def rule(way: Way, addresses: list[str]) -> str:
    """Give the one rule that the firewall needs."""
    host, port = way.dialled
    where = f"{host} ({', '.join(addresses)})" if addresses and addresses != [host] else host
    text = f"firewall: allow outbound TCP from this host to {where} port {port}; nothing inbound"
    return f"{text}. The proxy must allow CONNECT to {way.target}" if way.proxy else text


def first_hops(way: Way) -> Iterator[Said]:
    """Say how name and port are.

    Raises
    ------
    BrokenError
        One of them fails.
    """
    addresses = way.name()
    yield "ok", rule(way, addresses), {"addresses": addresses, "port": way.dialled[1]}
    if way.proxy:
        yield "ok", f"proxy: {way.proxy}, from {way.proxy.variable}; it finds {way.host} itself"
    else:
        yield "ok", f"proxy: none (HTTPS_PROXY does not apply to {way.host})"
        yield "ok", f"name: {way.host} is {', '.join(addresses)}"
    way.connect().close()
    yield "ok", f"port: {way.target} is open{' through the proxy' if way.proxy else ''}"
