"""Flower's SuperNode, as a process that ends when its work has ended.

In Flower 1.41 a network that is cut in the middle of a TLS handshake ends the SuperNode's loop for good, and leaves its
HTTP server running: the process lives on, does nothing, and nobody notices. Here it ends, and its supervisor starts it
again.
"""

from __future__ import annotations

import os
import sys
import traceback


def main() -> None:
    """Run `flower-supernode` with this process's arguments; an end that it did not announce is exit code 1."""
    from flwr.supernode.cli import flower_supernode  # what Flower's command of that name calls

    try:
        flower_supernode()
    except Exception:  # SystemExit is Flower's own way to end, with a code, and passes
        traceback.print_exc()
    print("the SuperNode's loop has ended; the process ends with it", file=sys.stderr, flush=True)
    os._exit(1)  # Flower's other threads would keep it


if __name__ == "__main__":
    main()
