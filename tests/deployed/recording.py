"""Stands where a network would, owns the coordinator's own key, and records in clear all that passes."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from pathlib import Path

_BLOCK = 65_536


class Recorder:
    """Listens where sites dial, and passes on to the coordinator's proxy.

    Parameters
    ----------
    coordinator : Path
        The coordinator's folder: its certificate and key are shown to sites.
    port, inner : int
        Where sites dial, and where the proxy listens.
    """

    def __init__(self, coordinator: Path, port: int, inner: int) -> None:
        self._port, self._inner = port, inner
        self._streams: list[bytearray] = []
        self._here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._here.load_cert_chain(coordinator / "tls" / "server.pem", coordinator / "tls" / "server.key")
        self._there = ssl.create_default_context(cafile=str(coordinator / "ca" / "ca.pem"))
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(listening),))
        self._thread.start()
        assert listening.wait(30), "the recorder does not listen"

    def close(self) -> None:
        """Hang up on everybody, and end."""
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        self._loop.close()

    def captured(self) -> list[bytes]:
        """Give all that has passed so far, each direction of each connection by itself."""
        return [bytes(stream) for stream in list(self._streams)]

    async def _serve(self, listening: threading.Event) -> None:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", self._port, ssl=self._here)
        listening.set()
        await self._done.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        with suppress(OSError, asyncio.CancelledError):
            opened = asyncio.open_connection("127.0.0.1", self._inner, ssl=self._there, server_hostname="localhost")
            far_reader, far_writer = await opened
            writers.append(far_writer)
            ways = [self._copy(reader, far_writer), self._copy(far_reader, writer)]
            await asyncio.wait(map(asyncio.create_task, ways), return_when=asyncio.FIRST_COMPLETED)
        for end in writers:
            end.close()
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(end.wait_closed(), 2.0)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = bytearray()
        self._streams.append(stream)
        with suppress(OSError):
            while block := await reader.read(_BLOCK):
                stream += block
                writer.write(block)
                await writer.drain()
