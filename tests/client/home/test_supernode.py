"""A SuperNode whose loop has ended does not live on as a process that does nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import threading, time
import flwr.supernode.cli
from client.home.supernode import main

def loop():
    threading.Thread(target=lambda: time.sleep(600)).start()  # Flower's HTTP server
    {end}

flwr.supernode.cli.flower_supernode = loop
main()
"""


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("return", "the SuperNode's loop has ended"),
        ("raise OSError('the handshake timed out')", "the handshake timed out"),
    ],
)
def test_the_process_ends_with_the_loop(end: str, words: str) -> None:
    command = [sys.executable, "-c", CODE.format(end=end)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert words in done.stderr
