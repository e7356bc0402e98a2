"""Shows the site's certificate to a coordinator that demands one, because Flower's SuperNode cannot.

A small process of the relay: it listens on loopback with a certificate made at every start, which the SuperNode trusts,
and for each connection opens one to the coordinator, with the site's own certificate, trusting the coordinator's
authority and name alone, through the hospital's proxy where there is one. It reads nothing of what passes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import ssl
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from client.home.dial import context, dial, split
from client.home.join import read_welcome
from client.home.layout import Home
from common.errors import ConfigError
from common.files import PRIVATE, write_atomically

HOST = "127.0.0.1"
CERTIFICATE, KEY = "sidecar.pem", "sidecar.key"

_PATIENCE = 20.0  # seconds to reach the coordinator
_BLOCK = 65_536
_LASTING = timedelta(days=3650)

log = logging.getLogger("sitebridge.sidecar")


def make_certificate(relay: Path) -> None:
    """Make a key and a certificate for loopback; nobody but this site's SuperNode is told to trust it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sitebridge sidecar")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LASTING)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(relay / KEY, private, PRIVATE)
    write_atomically(relay / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))


class Sidecar:
    """Passes bytes on between the SuperNode and the coordinator.

    Parameters
    ----------
    address : str
        The coordinator's.
    upstream : SSLContext
        With the site's certificate; trusts the coordinator's authority alone.
    """

    def __init__(self, address: str, upstream: ssl.SSLContext) -> None:
        self.address, self.upstream = address, upstream
        self._failure = ""

    async def serve(self, port: int, here: ssl.SSLContext) -> None:
        """Listen on loopback until SIGTERM or SIGINT."""
        done = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, done.set)
        server = await asyncio.start_server(self._pass_on, HOST, port, ssl=here)
        log.info("listening on %s:%d for %s", HOST, port, self.address)
        await done.wait()
        server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect()
        except (OSError, TimeoutError, ValueError) as error:
            self._say(f"{self.address}: {error or type(error).__name__}")
            writer.close()
            return
        self._say(f"{self.address}: connected")
        ways = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, far_writer):
            end.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(end.wait_closed(), 1.0)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Dial anew for every connection: the coordinator's name may have come to mean another address."""
        plain = await asyncio.to_thread(dial, self.address, _PATIENCE)
        plain.setblocking(False)
        host, _ = split(self.address)
        opened = asyncio.open_connection(
            sock=plain, ssl=self.upstream, server_hostname=host, ssl_handshake_timeout=_PATIENCE
        )
        return await opened

    def _say(self, line: str) -> None:
        """Log what changed, not every connection."""
        if line != self._failure:
            self._failure = line
            log.info("%s", line)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()  # never more in memory than one side can take


def run(home: Home, port: int) -> None:
    """Run the sidecar of a site that has joined.

    Raises
    ------
    ConfigError
        It has not.
    """
    welcome = read_welcome(home)
    if welcome is None:
        raise ConfigError(f"{home.welcome}: no such file; join first: sitebridge site join WELCOME.json")
    here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    here.load_cert_chain(home.relay / CERTIFICATE, home.relay / KEY)
    upstream = context(home.ca, home.certificate, home.tls_key)
    asyncio.run(Sidecar(welcome.address, upstream).serve(port, here))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    run(Home(Path(sys.argv[1])), int(sys.argv[2]))
